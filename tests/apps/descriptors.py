"""For descriptors.sh: a server whose connections change hands in every way that descriptors can.

`serve WAY ADDRESS PORT` accepts one connection and hands it on in that WAY; `echo` is what it may be handed to: a process
that finds the connection as its standard input, says both ends' addresses on it, and echoes to the end.
"""
import array
import fcntl
import os
import socket
import subprocess
import sys


def names(connection):
    return "%s:%d %s\n" % (*connection.getsockname(), connection.getpeername()[0])


def echo(connection):
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
    assert connection.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_STREAM
    connection.sendall(names(connection).encode())
    while piece := connection.recv(65536):
        connection.sendall(piece)
    connection.shutdown(socket.SHUT_WR)


def without_preload():
    return {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}


def as_standard_input(connection):
    os.dup2(connection.fileno(), 0)
    os.dup2(connection.fileno(), 1)


ME = [sys.executable, os.path.abspath(__file__)]


def by_fork(listener, connection):
    """The child serves after the parent has closed its copies and ended."""
    if os.fork() == 0:
        listener.close()
        if os.fork() == 0:
            echo(connection)
    os._exit(0)


def by_exec(listener, connection):
    """The same process, another program."""
    as_standard_input(connection)
    os.execv(ME[0], ME + ["echo"])


def by_exec_cat(listener, connection):
    as_standard_input(connection)
    os.execvp("cat", ["cat"])


def by_exec_bare(listener, connection):
    """A program without the library: plain reads and writes must do."""
    as_standard_input(connection)
    os.execvpe("cat", ["cat"], without_preload())


def by_exec_bare_and_back(listener, connection):
    """Through a program without the library to one with it again."""
    as_standard_input(connection)
    environment = without_preload()
    preload = os.environ.get("LD_PRELOAD", "")
    os.execvpe("env", ["env", "LD_PRELOAD=" + preload] + ME + ["echo"], environment)


def by_subprocess(listener, connection):
    """inetd's way; subprocess closes every other descriptor of the child, the library's own among them."""
    subprocess.run(ME + ["echo"], stdin=connection, stdout=connection, close_fds=True, check=True)


def by_dup(listener, connection):
    second = fcntl.fcntl(connection.fileno(), fcntl.F_DUPFD_CLOEXEC, 200)
    connection.close()
    third = os.dup(second)
    os.close(second)
    os.dup2(third, 42)
    os.close(third)
    echo(socket.socket(fileno=42))


def pass_on(connection, receiver):
    ours, theirs = socket.socketpair()
    child = subprocess.Popen(receiver[0], stdin=theirs, env=receiver[1])
    theirs.close()
    ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [connection.fileno()]))])
    connection.close()
    child.wait()


def by_message(listener, connection):
    pass_on(connection, (ME + ["receive", "echo"], None))


def by_message_bare(listener, connection):
    pass_on(connection, (ME + ["receive", "copy"], without_preload()))


def by_closefrom(listener, connection):
    """A program that closes all it does not know."""
    names(connection)
    as_standard_input(connection)
    listener.detach()
    connection.detach()
    os.closerange(3, 65536)
    echo(socket.socket(fileno=0))


def serve(way, address, port):
    listener = socket.create_server((address, port))
    print("listening", flush=True)
    if way == "by_listener":
        # Socket activation: a listening socket on descriptor 3 of another program.
        os.dup2(listener.fileno(), 3)
        os.set_inheritable(3, True)
        os.execv(ME[0], ME + ["activated"])
    connection, peer = listener.accept()
    assert peer[0] == connection.getpeername()[0]
    globals()[way](listener, connection)


def activated():
    listener = socket.socket(fileno=3)
    assert listener.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) == 1
    echo(listener.accept()[0])


def receive(what):
    _, fds, _, _ = socket.recv_fds(socket.socket(fileno=0), 1, 1)
    if what == "echo":
        echo(socket.socket(fileno=fds[0]))
        return
    os.set_blocking(fds[0], True)
    while piece := os.read(fds[0], 65536):
        while piece:
            piece = piece[os.write(fds[0], piece):]


if sys.argv[1] == "serve":
    serve(sys.argv[2], sys.argv[3], int(sys.argv[4]))
elif sys.argv[1] == "echo":
    echo(socket.socket(fileno=0))
elif sys.argv[1] == "activated":
    activated()
else:
    receive(sys.argv[2])
