"""publish - where docs/ has what the benchmarks measured."""
import os

DOCS = os.path.join(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "docs")


def replace_part(name, body):
    """Put this between the marks of that name in docs/performance.md."""
    path = os.path.join(DOCS, "performance.md")
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    with open(path) as file:
        before, rest = file.read().split(begin)
    after = rest.split(end)[1]
    with open(path, "w") as file:
        file.write(before + begin + body + end + after)
