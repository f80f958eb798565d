/*
 * fuzz_intercept_replies.c - a service that says anything to the library: replies, descriptors with them, and bytes in
 * the pairs.
 *
 * The input has the program's calls and, where one asks the service, what it answers (hostile_service.h).
 */
#include "fuzz.h"
#include "hostile_service.h"

#include "intercept/control.h"
#include "intercept/data.h"
#include "intercept/datagram.h"
#include "intercept/descriptor.h"
#include "intercept/interface.h"
#include "intercept/libc.h"
#include "intercept/linger.h"
#include "intercept/names/names.h"
#include "intercept/socket.h"

#include <arpa/nameser.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>

#define COMMANDS_MAX 100
#define SLOTS 6 /* the program's sockets */

static struct fuzz_input *input; /* of this run */
static int slots[SLOTS];         /* -1: none */

static int pick_slot(void)
{
    return slots[fuzz_take_8(input) % SLOTS];
}

/* Put a new socket somewhere, in another one's place. */
static void keep(int fd)
{
    int place = fuzz_take_8(input) % SLOTS;

    if (fd < 0)
        return;
    libc_fcntl(fd, F_SETFL, O_NONBLOCK); /* accepted, or a copy */
    if (slots[place] >= 0)
        linger_close(slots[place]);
    slots[place] = fd;
}

static void call_socket(void)
{
    static const int domains[] = {AF_INET, AF_INET6, AF_INET, AF_INET6}, types[] = {SOCK_STREAM, SOCK_DGRAM, SOCK_RAW, SOCK_STREAM};
    uint8_t how = fuzz_take_8(input);

    keep(socket_create(domains[how % 4], types[how / 4 % 4] | SOCK_NONBLOCK | (how & 128 ? SOCK_CLOEXEC : 0), types[how / 4 % 4] == SOCK_RAW ? 1 : 0));
}

/* Return: the length of an address for a call. */
static socklen_t take_address(struct sockaddr_storage *address)
{
    uint8_t how = fuzz_take_8(input);
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(80), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};

    memset(address, 0, sizeof *address);
    memcpy(address, &in, sizeof in);
    if (how < 200)
        return sizeof in;
    return (socklen_t)fuzz_take_into(input, address, how - 200);
}

static void call_names(void)
{
    struct sockaddr_storage address;
    socklen_t length = take_address(&address);
    uint8_t how = fuzz_take_8(input);
    int fd = pick_slot(), new_fd;

    switch (how % 9) {
    case 0: (void)socket_bind(fd, (struct sockaddr *)&address, length); break;
    case 1: (void)socket_connect(fd, (struct sockaddr *)&address, length); break;
    case 2: (void)socket_listen(fd, how); break;
    case 3: (void)socket_shutdown(fd, how / 9 % 4); break;
    case 4:
        length = how / 9 % 2 != 0 ? (socklen_t)sizeof address : fuzz_take_8(input) % (socklen_t)sizeof address;
        (void)socket_getsockname(fd, (struct sockaddr *)&address, &length);
        break;
    case 5: (void)socket_getpeername(fd, (struct sockaddr *)&address, &length); break;
    case 6: (void)socket_bindresvport(fd, how / 9 % 2 != 0 ? NULL : (struct sockaddr_in *)&address); break;
    case 7:
        new_fd = socket_accept(fd, (struct sockaddr *)&address, &length, how & 128 ? SOCK_CLOEXEC : 0);
        if (new_fd >= 0)
            keep(new_fd);
        break;
    default: (void)socket_wait_connected(fd, MSG_DONTWAIT); break;
    }
}

static void call_option(void)
{
    static const int levels[] = {SOL_SOCKET, IPPROTO_TCP, IPPROTO_IP, IPPROTO_IPV6, IPPROTO_UDP};
    uint8_t how = fuzz_take_8(input);
    int name = fuzz_take_8(input), fd = pick_slot(), level = how % 8 < 5 ? levels[how % 8] : fuzz_take_8(input);
    socklen_t length = fuzz_take_8(input) * 2;
    uint8_t *value = malloc(length > 0 ? length : 1);

    memset(value, 1, length);
    if (how & 128) {
        (void)socket_getsockopt(fd, level, name, value, &length);
    } else if (level != SOL_SOCKET || (name != SO_RCVTIMEO && name != SO_SNDTIMEO)) {
        fuzz_take_into(input, value, how & 64 ? length : 0);
        (void)socket_setsockopt(fd, level, name, value, length);
    }
    free(value);
}

/* Pieces of the program's memory, each allocated by itself, so that what is written behind one is seen. */
#define PIECES 3
struct memory {
    struct iovec pieces[PIECES];
    struct sockaddr_storage address;
    uint8_t *control;
    struct msghdr message;
};

static void make_memory(struct memory *memory)
{
    size_t control_length = fuzz_take_8(input) * 2u;

    for (int i = 0; i < PIECES; i++) {
        size_t length = fuzz_take_8(input) * (i == 0 ? 8u : 1u);

        memory->pieces[i] = (struct iovec){calloc(1, length > 0 ? length : 1), length};
    }
    memory->control = calloc(1, control_length > 0 ? control_length : 1);
    memory->message = (struct msghdr){.msg_name = &memory->address, .msg_namelen = take_address(&memory->address), .msg_iov = memory->pieces,
                                      .msg_iovlen = PIECES, .msg_control = memory->control, .msg_controllen = control_length};
    if ((fuzz_take_8(input) & 1) != 0) {
        memory->message.msg_name = NULL;
        memory->message.msg_namelen = 0;
    }
}

static void free_memory(struct memory *memory)
{
    for (int i = 0; i < PIECES; i++)
        free(memory->pieces[i].iov_base);
    free(memory->control);
}

static void call_receive(void)
{
    static const int flags[] = {0, MSG_PEEK, MSG_TRUNC, MSG_ERRQUEUE, MSG_PEEK | MSG_TRUNC, MSG_WAITALL, MSG_OOB, MSG_ERRQUEUE | MSG_PEEK};
    uint8_t how = fuzz_take_8(input);
    int fd = pick_slot(), flag = flags[how / 8 % 8] | MSG_DONTWAIT, length;
    struct memory memory;
    struct mmsghdr many[2];
    socklen_t address_length = sizeof memory.address;

    make_memory(&memory);
    switch (how % 8) {
    case 0: (void)data_read(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len); break;
    case 1: (void)data_readv(fd, memory.pieces, PIECES); break;
    case 2: (void)data_recv(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len, flag); break;
    case 3:
        (void)data_recvfrom(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len, flag, (struct sockaddr *)&memory.address, &address_length);
        break;
    case 4:
        many[0] = many[1] = (struct mmsghdr){.msg_hdr = memory.message};
        (void)data_recvmmsg(fd, many, 2, flag, NULL);
        break;
    case 5: (void)datagram_next_length(fd, &length); break;
    default: (void)data_recvmsg(fd, &memory.message, flag); break;
    }
    free_memory(&memory);
}

/* Control messages that a program sends. */
static void take_control(struct memory *memory)
{
    static const struct { int level, type; uint8_t size; } kinds[] = {
        {IPPROTO_IP, IP_PKTINFO, 12}, {IPPROTO_IP, IP_TTL, 4}, {IPPROTO_IP, IP_TOS, 4}, {IPPROTO_IPV6, IPV6_PKTINFO, 20},
        {IPPROTO_IPV6, IPV6_HOPLIMIT, 4}, {SOL_UDP, UDP_SEGMENT, 2}, {SOL_SOCKET, SCM_RIGHTS, 4}, {IPPROTO_IPV6, IPV6_TCLASS, 4}};
    size_t at = 0, room = memory->message.msg_controllen;

    while (room - at >= sizeof(struct cmsghdr) && input->left > 0) {
        uint8_t which = fuzz_take_8(input);
        struct cmsghdr header = {CMSG_LEN(kinds[which % 8].size), kinds[which % 8].level, kinds[which % 8].type};

        if (which & 128)
            header.cmsg_len = fuzz_take_16(input);
        memcpy(memory->control + at, &header, sizeof header);
        at += CMSG_SPACE(kinds[which % 8].size);
        if (at > room)
            break;
    }
}

static void call_send(void)
{
    static const int flags[] = {0, MSG_MORE, MSG_OOB, MSG_CONFIRM};
    uint8_t how = fuzz_take_8(input);
    int fd = pick_slot(), flag = flags[how / 8 % 4] | MSG_DONTWAIT | MSG_NOSIGNAL;
    struct memory memory;
    struct mmsghdr many[2];

    make_memory(&memory);
    take_control(&memory);
    switch (how % 8) {
    case 0: (void)data_write(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len); break;
    case 1: (void)data_writev(fd, memory.pieces, PIECES); break;
    case 2: (void)data_send(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len, flag); break;
    case 3:
        (void)data_sendto(fd, memory.pieces[0].iov_base, memory.pieces[0].iov_len, flag, memory.message.msg_name, memory.message.msg_namelen);
        break;
    case 4:
        many[0] = many[1] = (struct mmsghdr){.msg_hdr = memory.message};
        (void)data_sendmmsg(fd, many, 2, flag);
        break;
    case 5: (void)socket_setsockopt(fd, IPPROTO_TCP, TCP_CORK, &(int){(how & 128) != 0}, sizeof(int)); break;
    default: (void)data_sendmsg(fd, &memory.message, flag); break;
    }
    free_memory(&memory);
}

static void call_other(void)
{
    static const unsigned long requests[] = {FIONREAD, TIOCOUTQ, SIOCGIFCONF, SIOCGIFADDR, SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFHWADDR, SIOCGIFINDEX,
                                             SIOCGIFNETMASK, SIOCGIFMTU, SIOCATMARK, SIOCGIFBRDADDR};
    uint8_t how = fuzz_take_8(input), place = fuzz_take_8(input) % SLOTS;
    union {
        struct ifreq request;
        struct ifconf list;
        struct interface_list interfaces;
    } memory;
    struct pollfd polled = {.fd = slots[place], .events = POLLIN | POLLOUT};
    char *room = calloc(1, how + 1u);
    struct if_nameindex *names;

    memset(&memory, 0, sizeof memory);
    strcpy(memory.request.ifr_name, "stack0");
    switch (how % 7) {
    case 0:
        if (slots[place] >= 0)
            linger_close(slots[place]);
        slots[place] = -1;
        break;
    case 1: (void)interface_get_list(&memory.interfaces); break;
    case 2:
        names = if_nameindex();
        if (names != NULL)
            if_freenameindex(names);
        break;
    case 3:
        (void)libc_poll(&polled, 1, 0);
        datagram_correct_poll(&polled, 1);
        break;
    case 4: {
        int copy = libc_dup(slots[place]);

        if (copy >= 0)
            descriptor_copy(slots[place], copy);
        keep(copy);
        break;
    }
    default:
        if (requests[how / 7 % 12] == SIOCGIFCONF)
            memory.list = (struct ifconf){.ifc_len = how, .ifc_buf = how & 1 ? room : NULL};
        (void)socket_ioctl(slots[place], requests[how / 7 % 12], &memory);
        break;
    }
    free(room);
}

static void call_resolver(void)
{
    static const int types[NAMES_QUESTIONS] = {T_A, T_AAAA};
    uint8_t how = fuzz_take_8(input);
    struct names_answer answers[NAMES_QUESTIONS] = {{.bytes = NULL}};
    struct names_address addresses[4];
    struct names_host host = {.name = NULL};
    char domains[PROTOCOL_OPTION_MAX + 1];

    switch (how % 4) {
    case 0: (void)names_ask_service(domains); break;
    case 1:
        for (size_t i = 0; i < 4; i++) {
            addresses[i] = (struct names_address){.family = how & 4 ? AF_INET : AF_INET6};
            fuzz_take_into(input, addresses[i].bytes, 16);
        }
        names_sort(addresses, 4);
        break;
    default:
        (void)(how & 4 ? names_search : names_query)(names_state(), "name", C_IN, types, answers);
        for (size_t i = 0; i < NAMES_QUESTIONS; i++)
            if (answers[i].bytes != NULL)
                (void)names_read_answer(&answers[i], types[i], &host);
        names_answers_free(answers);
        names_host_free(&host);
        break;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static void (*const commands[])(void) = {call_socket, call_names, call_receive, call_option, call_send, hostile_write_pair,
                                             call_names, hostile_write_pair, call_receive, call_other, hostile_end_pair, call_resolver};
    struct fuzz_input taken = fuzz_begin(bytes, size);

    input = &taken;
    hostile_begin(input);
    memset(slots, 0xff, sizeof slots);
    for (int i = 0; i < COMMANDS_MAX && taken.left > 0; i++)
        commands[fuzz_take_8(input) % (sizeof commands / sizeof *commands)]();
    for (int i = 0; i < SLOTS; i++)
        if (slots[i] >= 0)
            linger_close(slots[i]);
    hostile_end();
    return 0;
}
