"""Write the paragraphs of the literal blocks of a page (Markdown or mdoc) into numbered files of a directory: docs.py PAGE DIRECTORY"""
import os
import sys
import textwrap


def markdown(lines):
    """Runs of lines that are indented by four blanks or more."""
    block = []
    for line in lines + [""]:
        if line.startswith("    "):
            block.append(line)
        elif block:
            yield block
            block = []


def mdoc(lines):
    block = None
    for line in lines:
        if line.startswith(".Bd -literal"):
            block = []
        elif line == ".Ed" and block is not None:
            yield block
            block = None
        elif line.startswith(".Dl "):
            yield [line[4:]]
        elif block and line in ("", ".Pp"):
            yield block
            block = []
        elif block is not None:
            block.append(line)


def main():
    path, directory = sys.argv[1:]
    with open(path, encoding="utf-8") as page:
        lines = page.read().splitlines()
    is_man = not path.endswith(".md")
    for number, block in enumerate(mdoc(lines) if is_man else markdown(lines)):
        text = textwrap.dedent("\n".join(block)).strip("\n") + "\n"
        if is_man:
            text = text.replace(r"\e", "\\").replace(r"\&", "")
        with open(os.path.join(directory, f"{number:02}"), "w", encoding="utf-8") as file:
            file.write(text)


main()
