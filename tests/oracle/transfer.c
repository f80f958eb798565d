/*
 * transfer.c - larger amounts through the calls that programs use for them: sendfile, splice, vectors,
 * both directions at once, many small writes, and back.
 */
#include "oracle.h"

#include <fcntl.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define BULK_BYTES 3000000

static void run_bulk_out(void)
{
    int fd = oracle_connect_peer(), status;

    /* The peer must read while we write: a child writes. */
    if (fork() == 0) {
        oracle_send_pattern(fd, BULK_BYTES);
        _exit(0);
    }
    close(fd);
    peer_ask("drain 0");
    oracle_say("the peer got%s", peer_text());
    wait(&status);
}

static void run_bulk_in(void)
{
    int fd = oracle_accept_peer(), status;

    if (fork() == 0) {
        oracle_read_bytes(fd, BULK_BYTES);
        _exit(0);
    }
    peer_ask("send 0 %d", BULK_BYTES);
    wait(&status);
    peer_ask("close 0");
    oracle_recv(fd, 1, 0);
}

static void run_bulk_both(void)
{
    int fd = oracle_connect_peer(), status;

    if (fork() == 0) {
        /* nothing in the transcript: it runs beside the other child */
        dup2(open("/dev/null", O_WRONLY), ORACLE_OUTPUT_FD);
        oracle_send_pattern(fd, BULK_BYTES);
        _exit(0);
    }
    if (fork() == 0) {
        oracle_read_bytes(fd, 200000);
        _exit(0);
    }
    peer_ask("send 0 200000");
    peer_ask("recv 0 %d", BULK_BYTES);
    wait(&status);
    wait(&status);
    oracle_say("the peer got%s", peer_text());
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
}

static void run_sendfile(void)
{
    int fd = oracle_connect_peer(), file = oracle_make_file(100000);
    off_t offset = 0;

    CALL(sendfile(fd, file, &offset, 50000));
    oracle_say("offset %ld, position %ld", (long)offset, (long)lseek(file, 0, SEEK_CUR));
    peer_do("recv 0 50000");
    CALL(lseek(file, 50000, SEEK_SET));
    CALL(sendfile(fd, file, NULL, 100000));
    CALL(sendfile(fd, file, NULL, 100000));
    CALL(sendfile(file, fd, NULL, 10));
    close(fd);
    peer_ask("drain 0");
    oracle_say("then%s", peer_text());
}

static void run_sendfile_unconnected(void)
{
    int fd = oracle_socket(), file = oracle_make_file(10);

    CALL(signal(SIGPIPE, SIG_IGN) == SIG_ERR);
    CALL(sendfile(fd, file, NULL, 10));
}

static void run_splice_in(void)
{
    int fd = oracle_connect_peer(), ends[2];
    char buffer[64] = "";

    if (pipe(ends) < 0)
        oracle_die("pipe");
    peer_do("send 0 10");
    oracle_wait_bytes(fd, 10);
    CALL(splice(fd, NULL, ends[1], NULL, 100, 0));
    CALL(read(ends[0], buffer, sizeof buffer));
    oracle_say("%s", buffer);
    peer_do("shut 0");
    CALL(splice(fd, NULL, ends[1], NULL, 100, 0));
}

static void run_splice_out(void)
{
    int fd = oracle_connect_peer(), ends[2];

    if (pipe(ends) < 0)
        oracle_die("pipe");
    CALL(write(ends[1], "abcdefghij", 10));
    CALL(splice(ends[0], NULL, fd, NULL, 4, 0));
    CALL(splice(ends[0], NULL, fd, NULL, 100, SPLICE_F_MORE));
    CALL(shutdown(fd, SHUT_WR));
    peer_do("drain 0");
}

static void run_writev_large(void)
{
    int fd = oracle_connect_peer(), status;
    char *buffer = malloc(26 * 1000);
    struct iovec iov[40];

    for (int i = 0; i < 26 * 1000; i++)
        buffer[i] = (char)('a' + i % 26);
    for (int i = 0; i < 40; i++)
        iov[i] = (struct iovec){buffer, 26 * 1000};
    if (fork() == 0) {
        CALL(writev(fd, iov, 40));
        _exit(0);
    }
    close(fd);
    peer_do("drain 0");
    wait(&status);
}

/* Many small writes arrive in order, and none is held back. */
static void try_small_writes(int option)
{
    int fd = oracle_connect_peer(), on = 1;

    if (option != 0)
        CALL(setsockopt(fd, IPPROTO_TCP, option, &on, sizeof on));
    for (int i = 0; i < 1000; i++) {
        char byte = (char)('a' + i % 26);

        if (write(fd, &byte, 1) != 1)
            oracle_die("write");
    }
    if (option == TCP_CORK) {
        on = 0;
        CALL(setsockopt(fd, IPPROTO_TCP, option, &on, sizeof on));
    }
    peer_do("recv 0 1000");
}

static void run_small_writes(void)
{
    try_small_writes(0);
}

static void run_small_writes_nodelay(void)
{
    try_small_writes(TCP_NODELAY);
}

static void run_small_writes_cork(void)
{
    try_small_writes(TCP_CORK);
}

static void run_ping_pong(void)
{
    int fd = oracle_connect_peer(), good = 0;

    for (int i = 0; i < 200; i++) {
        char buffer[64];

        if (send(fd, "ping", 4, 0) == 4 && peer_ask("recv 0 4") == 4 && peer_ask("send 0 64") == 64 &&
            recv(fd, buffer, sizeof buffer, MSG_WAITALL) == 64)
            good++;
    }
    oracle_say("%d rounds", good);
}

static void run_two_sockets(void)
{
    int first = oracle_connect_peer(), port = oracle_peer_listen(5), second = oracle_socket();

    CALL(oracle_connect(second, oracle_peer_address(port)));
    peer_do("accept 1");
    CALL(send(first, "first", 5, 0));
    CALL(send(second, "second", 6, 0));
    peer_do("recv 1 6");
    peer_do("recv 0 5");
    peer_do("reset 0");
    oracle_wait_bits(first, POLLERR);
    oracle_print_poll(second);
    peer_do("send 1 5");
    oracle_read_bytes(second, 5);
}

/* Data in a loop through the subject's own listener. */
static void run_own_loop(void)
{
    int listen_fd = oracle_listen(5), fd = oracle_socket(), other, status;

    CALL(oracle_connect(fd, oracle_subject_address(oracle_local_port(listen_fd))));
    other = CALL_FD(accept(listen_fd, NULL, NULL));
    if (fork() == 0) {
        oracle_send_pattern(fd, BULK_BYTES);
        _exit(0);
    }
    close(fd);
    oracle_read_bytes(other, BULK_BYTES + 1);
    wait(&status);
}

const struct oracle_case oracle_cases[] = {
    {"bulk_out", run_bulk_out},
    {"bulk_in", run_bulk_in},
    {"bulk_both", run_bulk_both},
    {"sendfile", run_sendfile},
    {"sendfile_unconnected", run_sendfile_unconnected},
    {"splice_in", run_splice_in},
    {"splice_out", run_splice_out},
    {"writev_large", run_writev_large},
    {"small_writes", run_small_writes},
    {"small_writes_nodelay", run_small_writes_nodelay},
    {"small_writes_cork", run_small_writes_cork},
    {"ping_pong", run_ping_pong},
    {"two_sockets", run_two_sockets},
    {"own_loop", run_own_loop},
    {NULL, NULL},
};
