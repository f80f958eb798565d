/*
 * unread.c - how many bytes has a program not read yet?
 *
 * They lie in its end of the pair, which we don't hold. Our end knows by how much memory its writes were charged
 * (SIOCOUTQ), which is 768 bytes for a single one. The kernel's socket statistics (sock_diag(7)) know the bytes, but
 * look through all sockets to find one.
 */
#include "unread.h"

#include <errno.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ANSWER_BYTES 4096

static int diagnosis_fd = -1; /* owned */
static uint32_t question_number;

int unread_setup(void)
{
    unread_teardown();
    diagnosis_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_SOCK_DIAG);
    return diagnosis_fd < 0 ? -errno : 0;
}

void unread_teardown(void)
{
    if (diagnosis_fd >= 0)
        close(diagnosis_fd);
    diagnosis_fd = -1;
}

/* Read the length of the queue from an answer to the last question. Return: bytes or -errno. */
static ssize_t read_answer(const struct nlmsghdr *header, size_t length)
{
    const struct unix_diag_msg *message = NLMSG_DATA(header);
    const struct rtattr *attribute = (const struct rtattr *)(message + 1);
    size_t left;

    if (!NLMSG_OK(header, length) || header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_seq != question_number ||
        header->nlmsg_len < NLMSG_LENGTH(sizeof *message))
        return -ENOENT;
    left = header->nlmsg_len - NLMSG_LENGTH(sizeof *message);
    for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left)) {
        struct unix_diag_rqlen queue;

        if (attribute->rta_type != UNIX_DIAG_RQLEN || RTA_PAYLOAD(attribute) < sizeof queue)
            continue;
        memcpy(&queue, RTA_DATA(attribute), sizeof queue);
        return queue.udiag_rqueue;
    }
    return -ENOENT;
}

ssize_t unread_ask(ino_t inode)
{
    struct {
        struct nlmsghdr header;
        struct unix_diag_req request;
    } question = {.header = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST, .nlmsg_seq = ++question_number},
                  .request = {.sdiag_family = AF_UNIX, .udiag_states = UINT32_MAX, .udiag_ino = (uint32_t)inode,
                              .udiag_show = UDIAG_SHOW_RQLEN, .udiag_cookie = {UINT32_MAX, UINT32_MAX}}};
    union {
        struct nlmsghdr header;
        char bytes[ANSWER_BYTES];
    } answer;
    ssize_t got;

    if (diagnosis_fd < 0 || inode > UINT32_MAX || send(diagnosis_fd, &question, sizeof question, 0) < 0)
        return -ENOENT;
    got = recv(diagnosis_fd, &answer, sizeof answer, 0); /* it was made during send() */
    return got < 0 ? -errno : read_answer(&answer.header, (size_t)got);
}
