/*
 * datagram_send.c - sending from datagram sockets of ours.
 *
 * Each datagram is one message in the pair: a header that says where to, and the program's bytes where they lie. The
 * service sends it later, so how that goes is not known yet when the call returns. But a program expects its errno
 * (no route, a broadcast address without permission, no address at all) from the same call. So the first datagram to
 * a destination carries a number, and the library asks the service for its result before it returns. When it went
 * well that is noted (`known`), and from then on datagrams to that destination, not longer than the longest that went
 * well, are sent without asking. An error that comes up later is a pending error, which the next call reports.
 *
 * `known` is a cache of a fixed size without locks: an entry that was overwritten, or that another thread writes at
 * the same time, costs a question.
 */
#include "datagram.h"

#include "address.h"
#include "control.h"
#include "data.h"
#include "host.h"
#include "libc.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* The longest datagram that any protocol has: what is longer needs no question. */
#define LONGEST 65535

/* Pieces of the program's that fit without a look at the rest of the stack. */
#define PIECES_FEW 16

/* Datagrams that one sendmmsg() of libc's takes, and pieces of each. */
#define BATCH 32
#define BATCH_PIECES 3

/* ---- where datagrams may be sent without asking ---- */

#define KNOWN_SLOTS 2048u
#define LENGTH_BITS 16

/* What an answer that came to us proves about the way back: this much fits any link that carries IPv6, with its
 * headers. */
#define PEER_LENGTH 1232

/* The upper 48 bits are of the hash of a socket and a destination; the lower 16 the longest datagram that went
 * there. */
static _Atomic uint64_t known[KNOWN_SLOTS];

/* Changes when the socket with this number changes, so that what was known about it does not count any more. */
#define GENERATIONS 1024u
static _Atomic uint16_t generations[GENERATIONS];

/* The service has rules that tell ports apart. */
static _Atomic bool ports_matter;

static _Atomic uint32_t last_number;

static uint64_t mix(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ (hash >> 29);
}

static uint64_t mix_address(uint64_t hash, const struct protocol_address *address)
{
    uint64_t words[4] = {0};

    memcpy(words, address->bytes, address->length);
    if (!ports_matter && words[0] & htobe64(UINT64_C(0x0000ffff00000000))) /* the port only matters if it is 0 */
        words[0] |= htobe64(UINT64_C(0x0000ffff00000000));
    hash = mix(hash, address->length);
    for (unsigned i = 0; i < (address->length + 7) / 8; i++)
        hash = mix(hash, words[i]);
    return hash;
}

/* What stands for sending this from fd. */
static uint64_t route_of(int fd, const struct protocol_datagram *header)
{
    uint64_t hash = mix((uint64_t)(unsigned)fd << 32 | header->segment, header->interface);

    hash = mix(hash, generations[(unsigned)fd % GENERATIONS]);
    hash = mix_address(hash, &header->peer);
    if (header->local.length > 0)
        hash = mix_address(hash, &header->local);
    return hash;
}

static _Atomic uint64_t *slot_of(uint64_t route)
{
    return &known[(route >> LENGTH_BITS) % KNOWN_SLOTS];
}

static bool is_known(uint64_t route, size_t length)
{
    uint64_t entry = atomic_load_explicit(slot_of(route), memory_order_relaxed);

    return entry >> LENGTH_BITS == route >> LENGTH_BITS && length <= (entry & UINT16_MAX);
}

static void note_known(uint64_t route, size_t length)
{
    if (!is_known(route, length))
        atomic_store_explicit(slot_of(route), (route >> LENGTH_BITS << LENGTH_BITS) | length, memory_order_relaxed);
}

void datagram_forget(int fd)
{
    generations[(unsigned)fd % GENERATIONS]++;
}

void datagram_note_option(int fd, int level, int name)
{
    datagram_forget(fd);
    if ((level == IPPROTO_IP && name == IP_RECVERR) || (level == IPPROTO_IPV6 && name == IPV6_RECVERR))
        descriptor_set(fd, DESCRIPTOR_DATAGRAM_ERRORS);
}

void datagram_note_peer(int fd, const struct protocol_datagram *header)
{
    struct protocol_datagram back = {.peer = header->peer};

    note_known(route_of(fd, &back), PEER_LENGTH);
}

/* ---- the header ---- */

/* The value of a control message that has an int, or one byte if it may. Return: 0, or -EINVAL outside of minimum to
 * 255. */
static int read_number(const struct cmsghdr *part, bool or_byte, int minimum, int32_t *number)
{
    int value;

    if (or_byte && part->cmsg_len == CMSG_LEN(1))
        value = *CMSG_DATA(part);
    else if (part->cmsg_len == CMSG_LEN(sizeof value))
        memcpy(&value, CMSG_DATA(part), sizeof value);
    else
        return -EINVAL;
    if (value < minimum || value > 255)
        return -EINVAL;
    *number = value;
    return 0;
}

static int read_control_ip(const struct cmsghdr *part, struct protocol_datagram *header)
{
    struct sockaddr_in local = {.sin_family = AF_INET};
    struct in_pktinfo info;

    switch (part->cmsg_type) {
    case IP_PKTINFO:
        if (part->cmsg_len != CMSG_LEN(sizeof info))
            return -EINVAL;
        memcpy(&info, CMSG_DATA(part), sizeof info);
        header->interface = (uint32_t)info.ipi_ifindex;
        if (info.ipi_spec_dst.s_addr != INADDR_ANY) {
            local.sin_addr = info.ipi_spec_dst;
            header->local.length = sizeof local;
            memcpy(header->local.bytes, &local, sizeof local);
        }
        return 0;
    case IP_TTL:
        return read_number(part, false, 1, &header->ttl);
    case IP_TOS:
        return read_number(part, true, 0, &header->tos);
    case IP_RETOPTS: /* there are no IP options here */
        return 0;
    default:
        return -EINVAL;
    }
}

static int read_control_ip6(const struct cmsghdr *part, struct protocol_datagram *header)
{
    struct sockaddr_in6 local = {.sin6_family = AF_INET6};
    struct in6_pktinfo info;
    int32_t number = 0;

    switch (part->cmsg_type) {
    case IPV6_PKTINFO:
    case IPV6_2292PKTINFO:
        if (part->cmsg_len < CMSG_LEN(sizeof info))
            return -EINVAL;
        memcpy(&info, CMSG_DATA(part), sizeof info);
        header->interface = info.ipi6_ifindex;
        if (!IN6_IS_ADDR_UNSPECIFIED(&info.ipi6_addr)) {
            local.sin6_addr = info.ipi6_addr;
            local.sin6_scope_id = info.ipi6_ifindex;
            header->local.length = sizeof local;
            memcpy(header->local.bytes, &local, sizeof local);
        }
        return 0;
    case IPV6_HOPLIMIT:
    case IPV6_2292HOPLIMIT:
        return read_number(part, false, -1, &header->ttl);
    case IPV6_TCLASS:
        return read_number(part, false, -1, &header->tos);
    case IPV6_DONTFRAG: /* the service has the option of this name */
        return read_number(part, false, 0, &number) < 0 || number > 1 ? -EINVAL : 0;
    default:
        return -EINVAL;
    }
}

static int read_control_one(const struct cmsghdr *part, struct protocol_datagram *header)
{
    uint16_t segment;

    switch (part->cmsg_level) {
    case IPPROTO_IP:
        return read_control_ip(part, header);
    case IPPROTO_IPV6:
        return read_control_ip6(part, header);
    case IPPROTO_UDP:
        if (part->cmsg_type != UDP_SEGMENT || part->cmsg_len != CMSG_LEN(sizeof segment))
            return -EINVAL;
        memcpy(&segment, CMSG_DATA(part), sizeof segment);
        header->segment = segment;
        return 0;
    case SOL_SOCKET: /* what Linux knows there is of no consequence here */
        return part->cmsg_type == SCM_RIGHTS || part->cmsg_type == SCM_CREDENTIALS || part->cmsg_type == SO_MARK ||
                       part->cmsg_type == SO_PRIORITY || part->cmsg_type == SO_TIMESTAMPING
                   ? 0
                   : -EINVAL;
    default:
        return 0;
    }
}

/* Read the control messages of sendmsg(). Return: 0 or -EINVAL. */
static int read_control(const struct msghdr *message, struct protocol_datagram *header)
{
    const char *end = (const char *)message->msg_control + message->msg_controllen;
    int error = 0;

    if (memory_check(message->msg_control, message->msg_controllen) < 0)
        return -EFAULT;
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL && error == 0;
         part = CMSG_NXTHDR((struct msghdr *)message, part)) {
        if (part->cmsg_len < sizeof *part || part->cmsg_len > (size_t)(end - (const char *)part))
            return -EINVAL;
        error = read_control_one(part, header);
    }
    return error;
}

/* Fill in the header for a message of the program's. Return: 0 or -errno. */
static int make_header(struct protocol_datagram *header, const struct msghdr *message, int flags)
{
    *header = (struct protocol_datagram){
        .magic = PROTOCOL_MAGIC,
        .version = PROTOCOL_VERSION,
        .flags = (uint16_t)((flags & MSG_MORE ? PROTOCOL_DATAGRAM_SEND_MORE : 0) |
                            (flags & MSG_OOB ? PROTOCOL_DATAGRAM_SEND_OOB : 0)),
        .ttl = -1,
        .tos = -1,
    };
    if (message->msg_name != NULL && message->msg_namelen > 0) {
        int error = (int)message->msg_namelen < 0
                        ? -EINVAL
                        : address_copy_in(&header->peer, message->msg_name, message->msg_namelen);

        if (error < 0)
            return error;
    }
    return message->msg_controllen > 0 && message->msg_control != NULL ? read_control(message, header) : 0;
}

/* ---- sending ---- */

/* Ask how the datagram with this number went; if others like it need not be asked about, note that. Return: 0, -errno,
 * or DATAGRAM_FOREIGN: it did not go, and the socket is the kernel's from now on. */
static int ask(int fd, uint32_t number, uint64_t route, size_t length)
{
    struct protocol_message message;
    int error;

    control_prepare(&message, PROTOCOL_SEND_RESULT);
    message.args[0] = (int32_t)number;
    error = control_request(&message, fd, NULL);
    if (error == -PROTOCOL_ON_HOST) {
        error = host_move(fd, &message);
        return error == 0 ? DATAGRAM_FOREIGN : error;
    }
    if (error == 0 && message.args[0] == 2 && !ports_matter)
        ports_matter = true; /* the route was hashed without: the next one is asked about too */
    else if (error == 0 && message.args[0] != 0)
        note_known(route, length);
    return error;
}

static uint32_t next_number(void)
{
    uint32_t number = ++last_number;

    /* Several processes may ask about one socket. */
    number = (number << 12) ^ (uint32_t)getpid();
    return number != 0 ? number : 1;
}

/* Return: the bytes of the pieces; more than LONGEST: too many. */
static size_t length_of(const struct iovec *iov, size_t count)
{
    size_t length = 0;

    for (size_t i = 0; i < count && length <= LONGEST; i++)
        length = iov[i].iov_len > LONGEST ? LONGEST + 1 : length + iov[i].iov_len;
    return length;
}

/* Send header and pieces, which stand in parts behind room for the header. Return: length or -errno. */
static ssize_t send_parts(int fd, struct protocol_datagram *header, struct iovec *parts, size_t count, size_t length, int flags)
{
    struct msghdr plain = {.msg_iov = parts, .msg_iovlen = 1 + count};
    uint64_t route = route_of(fd, header);
    bool asks = !is_known(route, length) || (flags & MSG_OOB);
    int error;

    parts[0] = (struct iovec){header, sizeof *header};
    header->number = asks ? next_number() : 0;
    if (descriptor_kind(fd) == DESCRIPTOR_DATAGRAM_ERRORS) {
        error = datagram_take_error(fd);
        if (error != 0)
            return -error;
    }
    if (libc_sendmsg(fd, &plain, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL) < 0)
        return datagram_send_error(fd, errno, header->peer.length > 0);
    if (asks) {
        error = ask(fd, header->number, route, length);
        if (error < 0)
            return error;
    }
    return (ssize_t)length;
}

/* The same with more pieces than fit a small frame. */
static __attribute__((noinline)) ssize_t send_many_parts(int fd, struct protocol_datagram *header,
                                                         const struct iovec *iov, size_t count, size_t length,
                                                         int flags)
{
    struct iovec parts[1 + DATAGRAM_PIECES_MAX];
    struct datagram_joined joined;

    if (count < DATAGRAM_PIECES_MAX) {
        memcpy(parts + 1, iov, count * sizeof *iov);
    } else {
        count = datagram_pieces_join(parts + 1, iov, &joined);
        if (datagram_pieces_gather(iov, &joined) < 0)
            return -EFAULT;
    }
    return send_parts(fd, header, parts, count, length, flags);
}

static ssize_t send_message(int fd, const struct msghdr *message, int flags)
{
    struct protocol_datagram header;
    struct iovec parts[1 + PIECES_FEW];
    size_t length;
    int error;

    if (message->msg_iovlen > DATAGRAM_PIECES_MAX)
        return -EMSGSIZE;
    error = make_header(&header, message, flags);
    if (error < 0)
        return error;
    length = length_of(message->msg_iov, message->msg_iovlen);
    if (length > LONGEST)
        return -EMSGSIZE;
    if (message->msg_iovlen > PIECES_FEW)
        return send_many_parts(fd, &header, message->msg_iov, message->msg_iovlen, length, flags);
    if (message->msg_iovlen > 0) /* else msg_iov may be NULL */
        memcpy(parts + 1, message->msg_iov, message->msg_iovlen * sizeof *parts);
    return send_parts(fd, &header, parts, message->msg_iovlen, length, flags);
}

ssize_t datagram_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (memory_check(message, sizeof *message) < 0 ||
        memory_check(message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov) < 0)
        return -EFAULT;
    return send_message(fd, message, flags);
}

ssize_t datagram_writev(int fd, const struct iovec *iov, int count, int flags)
{
    struct msghdr message = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};

    if (memory_check(iov, (size_t)count * sizeof *iov) < 0)
        return -EFAULT;
    return length_of(iov, (size_t)count) > 0 ? send_message(fd, &message, flags) : 0;
}

ssize_t datagram_send(int fd, const void *buffer, size_t length, int flags, const struct sockaddr *address,
                      socklen_t address_length)
{
    struct iovec iov = {(void *)buffer, length};
    struct msghdr message = {
        .msg_name = (void *)address, .msg_namelen = address_length, .msg_iov = &iov, .msg_iovlen = 1};

    if (address != NULL && address_length == 0)
        return -EINVAL; /* for sendmsg() that means no address */
    return send_message(fd, &message, flags);
}

/*
 * Send as many of the first datagrams as can go unasked, in one system call. Return: how many went, 0: the first one
 * can't go so, or -errno.
 */
static int send_batch(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    struct protocol_datagram headers[BATCH];
    struct iovec parts[BATCH][1 + BATCH_PIECES];
    struct mmsghdr batch[BATCH];
    size_t lengths[BATCH];
    unsigned ready;
    int sent;

    for (ready = 0; ready < count && ready < BATCH; ready++) {
        const struct msghdr *message = &messages[ready].msg_hdr;

        if (message->msg_iovlen > BATCH_PIECES || (flags & MSG_OOB) || make_header(&headers[ready], message, flags) < 0)
            break;
        lengths[ready] = length_of(message->msg_iov, message->msg_iovlen);
        if (!is_known(route_of(fd, &headers[ready]), lengths[ready]))
            break;
        parts[ready][0] = (struct iovec){&headers[ready], sizeof headers[ready]};
        memcpy(parts[ready] + 1, message->msg_iov, message->msg_iovlen * sizeof *message->msg_iov);
        batch[ready].msg_hdr = (struct msghdr){.msg_iov = parts[ready], .msg_iovlen = 1 + message->msg_iovlen};
    }
    if (ready < 2)
        return 0;
    if (descriptor_kind(fd) == DESCRIPTOR_DATAGRAM_ERRORS) {
        int error = datagram_take_error(fd);

        if (error != 0)
            return -error;
    }
    sent = libc_sendmmsg(fd, batch, ready, (flags & MSG_DONTWAIT) | MSG_NOSIGNAL);
    if (sent < 0)
        return datagram_pair_error(fd, errno);
    for (int i = 0; i < sent; i++)
        // NOLINTNEXTLINE(clang-analyzer-core.uninitialized.Assign): no more are sent than were filled
        messages[i].msg_len = (unsigned)lengths[i];
    return sent;
}

int datagram_sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
    unsigned done = 0;

    if (count > DATAGRAM_PIECES_MAX)
        count = DATAGRAM_PIECES_MAX; /* UIO_MAXIOV, as Linux */
    if (memory_check(messages, count * sizeof *messages) < 0)
        return -EFAULT;
    while (done < count) {
        int sent = send_batch(fd, messages + done, count - done, flags);

        if (sent == 0) {
            ssize_t length = datagram_sendmsg(fd, &messages[done].msg_hdr, flags);

            sent = length >= 0 ? 1 : (int)length;
            if (sent == 1)
                messages[done].msg_len = (unsigned)length;
        }
        if (sent < 0)
            return done > 0 ? (int)done : sent;
        done += (unsigned)sent;
    }
    return (int)done;
}
