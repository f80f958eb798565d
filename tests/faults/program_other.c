/* program_other.c - steps of program.c: options, names, interfaces, sockets of the host's network. */
#include "program.h"

#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

bool step_options(void)
{
    static const struct {
        int level, name, value;
    } settings[] = {{SOL_SOCKET, SO_KEEPALIVE, 1},        {SOL_SOCKET, SO_REUSEADDR, 1}, {IPPROTO_TCP, TCP_NODELAY, 1},
                    {IPPROTO_TCP, TCP_KEEPIDLE, 77},      {IPPROTO_IP, IP_TTL, 33},      {SOL_SOCKET, SO_RCVBUF, 65536},
                    {IPPROTO_TCP, TCP_USER_TIMEOUT, 9999}};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = good("socket", fd);

    for (size_t i = 0; ok && i < sizeof settings / sizeof *settings; i++) {
        int value = settings[i].value;
        socklen_t size = sizeof value;

        ok = good("setsockopt", setsockopt(fd, settings[i].level, settings[i].name, &value, size)) &&
             good("getsockopt", getsockopt(fd, settings[i].level, settings[i].name, &value, &size));
        if (ok && value != settings[i].value && value != 2 * settings[i].value)
            end("an option is not as it was set");
    }
    if (ok) {
        struct linger linger = {1, 5};
        struct tcp_info info;
        struct sockaddr_in name;
        socklen_t size = sizeof info, length = sizeof name;

        ok = good("connect", connect(fd, (struct sockaddr *)&peer4, sizeof peer4)) &&
             good("getpeername", getpeername(fd, (struct sockaddr *)&name, &length)) &&
             good("getsockopt", getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size)) &&
             good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger));
        if (ok && name.sin_port != peer4.sin_port)
            end("another peer");
        ok = ok && exchange(fd, "e", 1000);
    }
    if (fd >= 0)
        close(fd);
    return ok;
}

bool step_names(void)
{
    const struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found;
    int error = getaddrinfo("one.test", "80", &hints, &found);

    if (error == EAI_SYSTEM)
        return good("getaddrinfo", -1);
    if (error != 0) {
        printf("%s getaddrinfo %s\n", step, gai_strerror(error));
        if (error != EAI_AGAIN && error != EAI_MEMORY && error != EAI_FAIL)
            end("an error that is no passing one");
        return false;
    }
    if (found->ai_addr == NULL || ((struct sockaddr_in *)found->ai_addr)->sin_addr.s_addr != peer4.sin_addr.s_addr)
        end("another address");
    freeaddrinfo(found);
    return true;
}

bool step_interfaces(void)
{
    struct ifaddrs *list;
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool ok =
        good("socket", fd) && good("ioctl", ioctl(fd, SIOCGIFFLAGS, &request)) && good("getifaddrs", getifaddrs(&list));

    if (ok)
        freeifaddrs(list);
    if (fd >= 0)
        close(fd);
    return ok;
}

/* By the rules this address is the host's network, which has no route there. */
bool step_on_host(void)
{
    struct sockaddr_in to = peer4;
    int fd = socket(AF_INET, SOCK_STREAM, 0), value = 1;
    bool ok = good("socket", fd) && good("setsockopt", setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &value, sizeof value));

    inet_pton(AF_INET, "10.99.0.1", &to.sin_addr);
    if (ok && connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        end("connected to nobody");
    ok = ok && (good("connect", -1) || errno == ENETUNREACH);
    if (fd >= 0)
        close(fd);
    return ok;
}

bool step_many_sockets(void)
{
    int fds[20], count = 0;
    bool ok = true;

    while (ok && count < 20) {
        fds[count] = socket(count % 2 ? AF_INET : AF_INET6, count % 3 ? SOCK_STREAM : SOCK_DGRAM, 0);
        ok = good("socket", fds[count]);
        count += ok;
    }
    while (count > 0)
        close(fds[--count]);
    return ok;
}

/* Is that a passing error of getaddrinfo()'s family? Any other is the end. */
static bool passes(const char *call, int error)
{
    if (error == 0)
        return true;
    if (error == EAI_SYSTEM)
        return good(call, -1);
    printf("%s %s %s\n", step, call, gai_strerror(error));
    if (error != EAI_AGAIN && error != EAI_MEMORY && error != EAI_FAIL && error != EAI_IDN_ENCODE) /* no libidn2 */
        end("an error that is no passing one");
    return false;
}

/* Names in all ways: by aliases, in a file, with other letters, backwards. */
bool step_more_names(void)
{
    static const char *const all[] = {"alias.test", "filed", "b\303\274cher.test", "many.test", "10.77.0.1"};
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME | AI_IDN};
    struct addrinfo *found;
    struct hostent *host;
    char name[256];
    bool ok = true;

    for (size_t i = 0; ok && i < sizeof all / sizeof *all; i++) {
        ok = passes("getaddrinfo", getaddrinfo(all[i], "80", &hints, &found));
        if (ok)
            freeaddrinfo(found);
    }
    ok = ok && passes("getnameinfo", getnameinfo((struct sockaddr *)&peer4, sizeof peer4, name, sizeof name, NULL, 0, NI_NAMEREQD));
    if (ok && strcmp(name, "one.test") != 0)
        end("another name");
    host = ok ? gethostbyname("one.test") : NULL;
    if (ok && host == NULL) {
        printf("%s gethostbyname %s\n", step, hstrerror(h_errno));
        if (h_errno != TRY_AGAIN && h_errno != NO_RECOVERY && h_errno != NETDB_INTERNAL)
            end("an error that is no passing one");
    } else if (ok && memcmp(host->h_addr, &peer4.sin_addr, sizeof peer4.sin_addr) != 0) {
        end("another address");
    }
    return ok && host != NULL;
}

/* Look-ups by threads. */
bool step_async_names(void)
{
    struct gaicb requests[] = {{.ar_name = "one.test"}, {.ar_name = "dual.test"}};
    struct gaicb *list[] = {&requests[0], &requests[1]};
    struct sigevent silent = {.sigev_notify = SIGEV_NONE};
    int error = getaddrinfo_a(GAI_WAIT, list, 2, NULL);
    bool ok = passes("getaddrinfo_a", error);

    for (int i = 0; i < 2; i++) {
        ok = ok && passes("gai_error", gai_error(list[i]));
        if (requests[i].ar_result != NULL)
            freeaddrinfo(requests[i].ar_result);
        requests[i].ar_result = NULL;
    }
    if (!ok)
        return false;
    if (!passes("getaddrinfo_a", getaddrinfo_a(GAI_NOWAIT, list, 2, &silent)))
        return false;
    for (int i = 0; i < 2; i++) { /* both, whatever came of the first: the requests end with this function */
        while ((error = gai_error(list[i])) == EAI_INPROGRESS) {
            const struct gaicb *const one[] = {list[i]};

            error = gai_suspend(one, 1, NULL);
            if (error != 0 && error != EAI_INTR && error != EAI_ALLDONE && error != EAI_AGAIN)
                end("gai_suspend");
        }
        ok = passes("gai_error", error) && ok;
        if (requests[i].ar_result != NULL)
            freeaddrinfo(requests[i].ar_result);
    }
    return ok;
}

/* By the rules this address is the host's network, as well for those who listen. */
bool step_bound_on_host(void)
{
    struct sockaddr_in to = peer4;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    bool ok = good("socket", fd);

    inet_pton(AF_INET, "10.99.0.1", &to.sin_addr);
    ok = ok && good("bind", bind(fd, (struct sockaddr *)&to, sizeof to)) && good("listen", listen(fd, 1));
    if (fd >= 0)
        close(fd);
    return ok;
}
