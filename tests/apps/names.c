/*
 * names.c - what libc's functions for names say, as a transcript: the same on the kernel and under the preload.
 *
 * names PART: one of the parts below. Each line of the result begins with the question.
 */
#include <arpa/inet.h>
#include <arpa/nameser.h>
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <resolv.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const char *const hosts[] = {
    "one.test", "dual.test", "six.test", "many.test", "alias.test", "dangling.test", "turn.test", "badname.test",
    "nothing.test", "nosuch.test", "mixed.test", "ONE.Test.", "short", "with.dot", "both", "nowhere", "lies.test",
    "slow.test", "garbage.test", "circle.test", "big.test", "localhost", "filed", "filed-alias", "filed6", "ip6-localhost",
    "ip6-loopback", "", ".", "..", "a..b", "-dash.test", "under_score.test", "sp ace.test", "10.77.0.1", "10.77.1", "0x7f.1", "1", "::1", "fd77::1",
    "::ffff:10.77.0.1", "fe80::1", "fe80::1%1", "fe80::1%lo", "fe80::1%nosuch", "fd77::1%1", "10.77.0.1.", "1.2.3.4.5", "256.1.1.1", "b\xc3\xbc" "cher.test",
    "halfbad.test", "formerr.test", "mapped.test",
    "0123456789012345678901234567890123456789012345678901234567890123456789.test",
};
#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char *error_name(int error)
{
    static const struct {
        int error;
        const char *name;
    } names[] = {{0, "ok"}, {EAI_BADFLAGS, "BADFLAGS"}, {EAI_NONAME, "NONAME"}, {EAI_AGAIN, "AGAIN"}, {EAI_FAIL, "FAIL"},
                 {EAI_FAMILY, "FAMILY"}, {EAI_SOCKTYPE, "SOCKTYPE"}, {EAI_SERVICE, "SERVICE"}, {EAI_MEMORY, "MEMORY"},
                 {EAI_SYSTEM, "SYSTEM"}, {EAI_OVERFLOW, "OVERFLOW"}, {EAI_NODATA, "NODATA"},
                 {EAI_ADDRFAMILY, "ADDRFAMILY"}, {EAI_INPROGRESS, "INPROGRESS"}, {EAI_CANCELED, "CANCELED"},
                 {EAI_NOTCANCELED, "NOTCANCELED"}, {EAI_ALLDONE, "ALLDONE"}, {EAI_INTR, "INTR"}, {EAI_IDN_ENCODE, "IDN"}};

    for (size_t i = 0; i < COUNT(names); i++)
        if (names[i].error == error)
            return names[i].name;
    return "?";
}

static void print_address(const struct sockaddr *address)
{
    char text[INET6_ADDRSTRLEN];

    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)address;

        printf("%s:%u", inet_ntop(AF_INET, &in->sin_addr, text, sizeof text), ntohs(in->sin_port));
    } else {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

        printf("[%s%%%u]:%u", inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof text), in6->sin6_scope_id,
               ntohs(in6->sin6_port));
    }
}

static void print_list(const struct addrinfo *list)
{
    unsigned count = 0;

    for (; list != NULL; list = list->ai_next, count++) {
        if (count >= 60)
            continue;
        printf(" ");
        print_address(list->ai_addr);
        printf("/%d/%d/%x", list->ai_socktype, list->ai_protocol, (unsigned)list->ai_flags);
        if (list->ai_canonname != NULL)
            printf("(%s)", list->ai_canonname);
    }
    if (count >= 60)
        printf(" ... %u", count);
}

static void ask(const char *name, const char *service, const struct addrinfo *hints)
{
    struct addrinfo *list = (struct addrinfo *)1;
    int error;

    errno = 0;
    error = getaddrinfo(name, service, hints, &list);
    printf(" %s", error_name(error));
    if (error == EAI_SYSTEM)
        printf(" %s", strerrorname_np(errno));
    if (error == 0) {
        print_list(list);
        freeaddrinfo(list);
    }
    printf("\n");
}

static void part_addrinfo(void)
{
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};
    static const int flags[] = {0, AI_CANONNAME, AI_ADDRCONFIG, AI_NUMERICHOST, AI_V4MAPPED, AI_V4MAPPED | AI_ALL};

    for (size_t i = 0; i < COUNT(hosts); i++)
        for (size_t j = 0; j < COUNT(families); j++)
            for (size_t k = 0; k < COUNT(flags); k++) {
                struct addrinfo hints = {.ai_family = families[j], .ai_flags = flags[k], .ai_socktype = SOCK_STREAM};

                printf("getaddrinfo %s family %d flags %x:", hosts[i], families[j], (unsigned)flags[k]);
                ask(hosts[i], "80", &hints);
            }
}

static void part_services(void)
{
    static const char *const services[] = {NULL, "80", "http", "domain", "tftp", "nosuch", "", "*", "0", "65536", "-1", "80x"};
    static const char *const names[] = {"dual.test", "10.77.0.1", NULL, "*", "nosuch.test"};
    static const struct {
        int type, protocol;
    } types[] = {{0, 0}, {SOCK_STREAM, 0}, {SOCK_DGRAM, 0}, {SOCK_RAW, 0}, {0, IPPROTO_TCP}, {0, IPPROTO_UDP},
                 {SOCK_STREAM, IPPROTO_UDP}, {SOCK_SEQPACKET, 0}, {99, 0}, {0, IPPROTO_SCTP}, {SOCK_RAW, 7}, {0, 200}};
    static const int flags[] = {0, AI_PASSIVE, AI_NUMERICSERV, AI_CANONNAME, 0x10000, AI_PASSIVE | AI_ADDRCONFIG};

    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t j = 0; j < COUNT(services); j++)
            for (size_t k = 0; k < COUNT(types); k++)
                for (size_t l = 0; l < COUNT(flags); l++) {
                    struct addrinfo hints = {.ai_socktype = types[k].type, .ai_protocol = types[k].protocol, .ai_flags = flags[l]};

                    if ((k > 0 && l > 0) || (i == 4 && k > 3))
                        continue;
                    printf("getaddrinfo %s service %s type %d protocol %d flags %x:", names[i], services[j], types[k].type,
                           types[k].protocol, (unsigned)flags[l]);
                    ask(names[i], services[j], &hints);
                }
    for (int family = -1; family < 12; family++) {
        struct addrinfo hints = {.ai_family = family, .ai_flags = AI_PASSIVE};

        printf("getaddrinfo NULL family %d:", family);
        ask(NULL, "80", &hints);
    }
    printf("getaddrinfo dual.test without hints:");
    ask("dual.test", "80", NULL);
    printf("getaddrinfo NULL without hints:");
    ask(NULL, "80", NULL);
    printf("getaddrinfo with IDN:");
    ask("b\xc3\xbc" "cher.test", "80", &(struct addrinfo){.ai_flags = AI_IDN | AI_CANONNAME | AI_CANONIDN, .ai_socktype = 1});
}

static void print_host(const struct hostent *host, int code)
{
    char text[INET6_ADDRSTRLEN];

    if (host == NULL) {
        printf(" error %d\n", code);
        return;
    }
    printf(" %s type %d length %d", host->h_name, host->h_addrtype, host->h_length);
    for (char **alias = host->h_aliases; *alias != NULL; alias++)
        printf(" alias %s", *alias);
    for (char **address = host->h_addr_list; *address != NULL; address++)
        printf(" %s", inet_ntop(host->h_addrtype, *address, text, sizeof text));
    printf("\n");
}

/* What a function without _r returned, which sets h_errno. */
static void print_found(const struct hostent *host)
{
    print_host(host, h_errno);
}

static void part_hosts(void)
{
    static const int families[] = {AF_INET, AF_INET6, AF_UNIX};
    static const char *const addresses[] = {"10.77.0.1", "10.77.0.2", "10.77.0.3", "10.77.0.99", "127.0.0.1", "10.66.6.6", "fd77::1",
                                            "fd77::99", "::1", "::ffff:10.77.0.1", "::"};

    for (size_t i = 0; i < COUNT(hosts); i++) {
        printf("gethostbyname %s:", hosts[i]);
        print_found(gethostbyname(hosts[i]));
        for (size_t j = 0; j < COUNT(families); j++) {
            struct hostent host, *found;
            char buffer[16384];
            int code = 77, error;

            printf("gethostbyname2 %s %d:", hosts[i], families[j]);
            print_found(gethostbyname2(hosts[i], families[j]));
            for (size_t size = 16; size <= sizeof buffer; size *= 16) {
                found = (struct hostent *)1;
                error = gethostbyname2_r(hosts[i], families[j], &host, buffer, size, &found, &code);
                printf("gethostbyname2_r %s %d in %zu: %d", hosts[i], families[j], size, error);
                print_host(found, code);
            }
        }
    }
    for (size_t i = 0; i < COUNT(addresses); i++) {
        struct hostent host, *found;
        uint8_t bytes[16];
        char buffer[1024];
        int code = 77, error, family = strchr(addresses[i], ':') != NULL ? AF_INET6 : AF_INET;
        socklen_t length = family == AF_INET ? 4 : 16;

        inet_pton(family, addresses[i], bytes);
        printf("gethostbyaddr %s:", addresses[i]);
        print_found(gethostbyaddr(bytes, length, family));
        for (size_t size = 8; size <= sizeof buffer; size *= 128) {
            error = gethostbyaddr_r(bytes, length, family, &host, buffer, size, &found, &code);
            printf("gethostbyaddr_r %s in %zu: %d", addresses[i], size, error);
            print_host(found, code);
        }
    }
    printf("gethostbyaddr of a wrong length:");
    print_found(gethostbyaddr("abc", 3, AF_INET));
    sethostent(0);
    for (struct hostent *host; (host = gethostent()) != NULL;) {
        printf("gethostent:");
        print_host(host, 0);
    }
    endhostent();
}

static void part_nameinfo(void)
{
    static const char *const addresses[] = {"10.77.0.1", "10.77.0.3", "10.77.0.99", "127.0.0.1", "fd77::1", "fd77::99", "::1", "fe80::1", "ff02::1", "::", "0.0.0.0"};
    static const int flags[] = {0, NI_NUMERICHOST, NI_NUMERICSERV, NI_NAMEREQD, NI_NOFQDN, NI_DGRAM, NI_NAMEREQD | NI_NUMERICHOST, 0x4000};

    for (size_t i = 0; i < COUNT(addresses); i++)
        for (size_t j = 0; j < COUNT(flags); j++)
            for (uint32_t scope = 0; scope <= 9; scope += scope == 1 ? 8 : 1) {
                union {
                    struct sockaddr sa;
                    struct sockaddr_in in;
                    struct sockaddr_in6 in6;
                } address = {.in6.sin6_port = htons(53)};
                bool is_v6 = strchr(addresses[i], ':') != NULL;
                char host[NI_MAXHOST] = "-", service[NI_MAXSERV] = "-";
                int error;

                if (!is_v6 && scope > 0)
                    continue;
                address.sa.sa_family = is_v6 ? AF_INET6 : AF_INET;
                inet_pton(address.sa.sa_family, addresses[i], is_v6 ? (void *)&address.in6.sin6_addr : &address.in.sin_addr);
                if (is_v6)
                    address.in6.sin6_scope_id = scope;
                error = getnameinfo(&address.sa, is_v6 ? sizeof address.in6 : sizeof address.in, host, sizeof host, service,
                                    sizeof service, flags[j]);
                printf("getnameinfo %s%%%u flags %x: %s %s %s\n", addresses[i], scope, (unsigned)flags[j], error_name(error),
                       error == 0 ? host : "", error == 0 ? service : "");
                for (socklen_t size = 0; size <= 12; size += 4) {
                    error = getnameinfo(&address.sa, is_v6 ? sizeof address.in6 : sizeof address.in, host, size, service, size, flags[j]);
                    printf("getnameinfo %s%%%u flags %x in %u: %s %s\n", addresses[i], scope, (unsigned)flags[j], size, error_name(error),
                           error == 0 && size > 0 ? host : "");
                }
            }
    printf("getnameinfo of a short address: %s\n", error_name(getnameinfo(&(struct sockaddr){.sa_family = AF_INET}, 4, NULL, 0, NULL, 0, 0)));
    printf("getnameinfo of another family: %s\n", error_name(getnameinfo(&(struct sockaddr){.sa_family = 99}, 16, (char[99]){0}, 99, NULL, 0, 0)));
    printf("getnameinfo into nothing: %s\n", error_name(getnameinfo(&(struct sockaddr){.sa_family = AF_INET}, 16, NULL, 0, NULL, 0, 0)));
}

/* An answer without its identifier, which is no two times the same. */
static void print_answer(const unsigned char *answer, int length, int size)
{
    printf(" %d %s", length, length < 0 ? hstrerror(h_errno) : "");
    if (length > 2) {
        unsigned sum = 0;

        for (int i = 2; i < length && i < size; i++)
            sum = sum * 31 + answer[i];
        printf(" flags %02x%02x counts %d %d sum %08x", answer[2], answer[3], answer[5], answer[7], sum);
    }
    printf("\n");
}

static void part_dns(void)
{
    static const char *const names[] = {"one.test", "dual.test", "text.test", "nosuch.test", "nothing.test", "alias.test", "short", "with.dot", "both", "nowhere",
                                        "short.", "big.test", "huge.test", "formerr.test", "lies.test", "text.test.", "", ".", "a..b", "garbage.test", "stack"};
    static const int types[] = {ns_t_a, ns_t_txt, ns_t_mx, ns_t_aaaa};
    static unsigned char answer[65536], query[512];

    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t j = 0; j < COUNT(types); j++) {
            struct __res_state state;
            int length;

            printf("res_query %s %d:", names[i], types[j]);
            print_answer(answer, res_query(names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            printf("res_query %s %d in 512:", names[i], types[j]);
            print_answer(answer, res_query(names[i], ns_c_in, types[j], answer, 512), 512);
            printf("res_search %s %d:", names[i], types[j]);
            print_answer(answer, res_search(names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            printf("res_querydomain %s %d:", names[i], types[j]);
            print_answer(answer, res_querydomain(names[i], "search2.test", ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            memset(&state, 0, sizeof state);
            printf("res_ninit: %d\n", res_ninit(&state));
            state.options |= RES_USE_EDNS0;
            printf("res_nquery %s %d:", names[i], types[j]);
            print_answer(answer, res_nquery(&state, names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            state.options &= ~(unsigned long)RES_DNSRCH;
            printf("res_nsearch %s %d without DNSRCH:", names[i], types[j]);
            print_answer(answer, res_nsearch(&state, names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            state.options &= ~(unsigned long)RES_DEFNAMES;
            printf("res_nsearch %s %d without DEFNAMES:", names[i], types[j]);
            print_answer(answer, res_nsearch(&state, names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            state.options |= RES_USEVC;
            printf("res_nquery %s %d over TCP:", names[i], types[j]);
            print_answer(answer, res_nquery(&state, names[i], ns_c_in, types[j], answer, sizeof answer), sizeof answer);
            res_nclose(&state);
            length = res_mkquery(ns_o_query, names[i], ns_c_in, types[j], NULL, 0, NULL, query, sizeof query);
            printf("res_mkquery %s %d: %d\n", names[i], types[j], length);
            if (length > 0) {
                int answered = res_send(query, length, answer, sizeof answer);

                printf("res_send %s %d: same id %d", names[i], types[j], answered > 2 && memcmp(answer, query, 2) == 0);
                print_answer(answer, answered, sizeof answer);
            }
        }
}

static void part_failures(void)
{
    static const char *const names[] = {"silent.test", "servfail.test", "notimp.test", "refused.test", "halfmute.test"};
    static unsigned char answer[1024];

    for (size_t i = 0; i < COUNT(names); i++) {
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
        struct timespec before, after;

        printf("getaddrinfo %s:", names[i]);
        clock_gettime(CLOCK_MONOTONIC, &before);
        ask(names[i], NULL, &hints);
        clock_gettime(CLOCK_MONOTONIC, &after);
        printf("in less than 8 s: %d\n", after.tv_sec - before.tv_sec < 8);
        hints.ai_family = AF_INET;
        printf("getaddrinfo %s IPv4:", names[i]);
        ask(names[i], NULL, &hints);
        printf("gethostbyname %s:", names[i]);
        print_found(gethostbyname(names[i]));
        errno = 0;
        if (res_query(names[i], 1, 1, answer, sizeof answer) < 0)
            printf("res_query %s: %d %s\n", names[i], h_errno, strerrorname_np(errno));
        else
            printf("res_query %s: found, %s\n", names[i], strerrorname_np(errno));
    }
}

static void *ask_often(void *number)
{
    long bad = 0;

    for (int i = 0; i < 20; i++) {
        struct addrinfo *list, hints = {.ai_socktype = SOCK_STREAM};
        struct hostent host, *found;
        char buffer[2048];
        int code;

        if (getaddrinfo(i % 2 ? "dual.test" : "alias.test", "80", &hints, &list) != 0)
            bad++;
        else
            freeaddrinfo(list);
        if (gethostbyname_r("one.test", &host, buffer, sizeof buffer, &found, &code) != 0 || found == NULL)
            bad++;
    }
    (void)number;
    return (void *)bad;
}

static void *ask_silence(void *unused)
{
    struct addrinfo *list;

    (void)unused;
    getaddrinfo("silent.test", NULL, NULL, &list);
    return NULL;
}

static volatile sig_atomic_t signals;

static void count_signal(int number)
{
    (void)number;
    signals++;
}

static void part_threads(void)
{
    pthread_t threads[32];
    long bad = 0;
    void *result;
    struct timespec before, after;
    struct itimerspec often = {{0, 1000000}, {0, 1000000}}, never = {{0, 0}, {0, 0}};
    timer_t timer;
    int status;

    for (size_t i = 0; i < COUNT(threads); i++)
        if (pthread_create(&threads[i], NULL, ask_often, NULL) != 0)
            abort();
    for (size_t i = 0; i < COUNT(threads); i++) {
        pthread_join(threads[i], &result);
        bad += (long)result;
    }
    printf("32 threads: %ld bad\n", bad);

    clock_gettime(CLOCK_MONOTONIC, &before);
    pthread_create(&threads[0], NULL, ask_silence, NULL);
    usleep(200000);
    pthread_cancel(threads[0]);
    pthread_join(threads[0], &result);
    clock_gettime(CLOCK_MONOTONIC, &after);
    printf("cancelled at once: %d %d\n", result == PTHREAD_CANCELED, after.tv_sec - before.tv_sec < 2);

    sigaction(SIGALRM, &(struct sigaction){.sa_handler = count_signal}, NULL);
    timer_create(CLOCK_MONOTONIC, &(struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM}, &timer);
    timer_settime(timer, 0, &often, NULL);
    printf("under signals:");
    ask("slow.test", NULL, &(struct addrinfo){.ai_family = AF_INET, .ai_socktype = SOCK_STREAM});
    timer_settime(timer, 0, &never, NULL);
    printf("signals came: %d\n", signals > 10);

    pthread_create(&threads[0], NULL, ask_silence, NULL);
    usleep(100000);
    fflush(stdout);
    if (fork() == 0) {
        printf("in a child, while a thread asks:");
        ask("one.test", NULL, &(struct addrinfo){.ai_socktype = SOCK_STREAM});
        fflush(stdout);
        _exit(7);
    }
    wait(&status);
    printf("the child: %d\n", WEXITSTATUS(status));
}

static void notified(union sigval value)
{
    *(volatile int *)value.sival_ptr += 1;
}

static void part_async(void)
{
    static const char *const names[] = {"one.test", "nosuch.test", "slow.test", "10.77.0.1", "silent.test"};
    struct gaicb requests[COUNT(names)] = {{0}}, *list[COUNT(names) + 1];
    volatile int calls = 0;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notified, .sigev_value.sival_ptr = (void *)&calls};
    struct timespec moment = {0, 50000000};
    sigset_t set;
    siginfo_t info;
    int error;

    for (size_t i = 0; i < COUNT(names); i++) {
        requests[i].ar_name = names[i];
        list[i] = &requests[i];
    }
    list[COUNT(names)] = NULL;
    printf("getaddrinfo_a and wait: %s\n", error_name(getaddrinfo_a(GAI_WAIT, list, 4, NULL)));
    for (int i = 0; i < 4; i++) {
        printf("gai_error %s: %s", names[i], error_name(gai_error(&requests[i])));
        if (gai_error(&requests[i]) == 0) {
            print_list(requests[i].ar_result);
            freeaddrinfo(requests[i].ar_result);
        }
        printf("\n");
    }
    printf("getaddrinfo_a with a thread: %s\n", error_name(getaddrinfo_a(GAI_NOWAIT, list, 3, &event)));
    do
        error = gai_suspend((const struct gaicb *const *)list, 3, NULL);
    while (error == 0 || error == EAI_INTR);
    printf("gai_suspend at the end: %s\n", error_name(error));
    for (int i = 0; i < 100 && calls == 0; i++)
        usleep(50000);
    printf("notified: %d\n", calls);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, NULL);
    event = (struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 42};
    printf("getaddrinfo_a with a signal: %s\n", error_name(getaddrinfo_a(GAI_NOWAIT, list, 1, &event)));
    error = sigwaitinfo(&set, &info);
    printf("the signal: %d with %d\n", error, info.si_value.sival_int);
    printf("getaddrinfo_a of silence: %s\n", error_name(getaddrinfo_a(GAI_NOWAIT, list + 4, 1, NULL)));
    error = gai_suspend((const struct gaicb *const *)list + 4, 1, &moment);
    printf("gai_suspend for a moment: %d\n", error == EAI_AGAIN || error == EAI_SYSTEM); /* glibc 2.36 says SYSTEM, the manual AGAIN */
    printf("gai_error: %s\n", error_name(gai_error(&requests[4])));
    printf("gai_cancel: %s\n", error_name(gai_cancel(&requests[4])));
    printf("gai_cancel of what is done: %s\n", error_name(gai_cancel(&requests[0])));
    errno = 0;
    error = getaddrinfo_a(99, list, 1, NULL);
    printf("getaddrinfo_a in no mode: %s %s\n", error_name(error), strerrorname_np(errno));
    printf("getaddrinfo_a of none: %s\n", error_name(getaddrinfo_a(GAI_WAIT, list + 5, 1, NULL)));
    printf("gai_suspend of none: %s\n", error_name(gai_suspend((const struct gaicb *const *)list + 5, 1, NULL)));
}

/* For settings of all kinds, that the script makes. */
static void ask_few(size_t count)
{
    static const char *const names[] = {"one.test", "filed", "short", "with.dot", "both", "filed-alias", "localhost", "aliased", "nosuch.test",
                                        "servfail.test"};
    static unsigned char answer[1024];

    for (size_t i = 0; i < count && i < COUNT(names); i++) {
        printf("getaddrinfo %s:", names[i]);
        ask(names[i], NULL, &(struct addrinfo){.ai_socktype = SOCK_STREAM, .ai_flags = AI_CANONNAME});
        printf("gethostbyname %s:", names[i]);
        print_found(gethostbyname(names[i]));
        printf("res_search %s: %d\n", names[i], res_search(names[i], 1, 1, answer, sizeof answer));
    }
    printf("gethostbyaddr 10.77.0.1:");
    print_found(gethostbyaddr("\x0a\x4d\0\1", 4, AF_INET));
    printf("gethostbyaddr 10.66.6.6:");
    print_found(gethostbyaddr("\x0a\x42\6\6", 4, AF_INET));
    printf("getnetbyname loopback: %d\n", getnetbyname("loopback") != NULL);
}

static void part_few(void)
{
    ask_few(100);
}

static void part_two(void)
{
    ask_few(2);
}

/* What /etc/gai.conf has a say in. */
static void part_order(void)
{
    static const char *const names[] = {"dual.test", "many.test"};
    static const int families[] = {AF_UNSPEC, AF_INET, AF_INET6};

    for (size_t i = 0; i < COUNT(names); i++)
        for (size_t j = 0; j < COUNT(families); j++) {
            struct addrinfo hints = {.ai_family = families[j], .ai_socktype = SOCK_STREAM};

            printf("getaddrinfo %s family %d:", names[i], families[j]);
            ask(names[i], "80", &hints);
        }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } parts[] = {{"addrinfo", part_addrinfo}, {"services", part_services}, {"hosts", part_hosts}, {"nameinfo", part_nameinfo},
                 {"dns", part_dns}, {"failures", part_failures}, {"threads", part_threads}, {"async", part_async},
                 {"few", part_few}, {"two", part_two}, {"order", part_order}};

    for (size_t i = 0; argc == 2 && i < COUNT(parts); i++)
        if (strcmp(argv[1], parts[i].name) == 0) {
            parts[i].run();
            fflush(stdout);
            return 0;
        }
    return 2;
}
