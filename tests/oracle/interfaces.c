/*
 * interfaces.c - what a program sees of the interfaces: getifaddrs(), <net/if.h>, the ioctls of netdevice(7).
 *
 * The name of the interface on the wire, its index and hardware address differ between the two settings, so the
 * transcript says "wire" and compares with what other calls say.
 */
#include "oracle.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netpacket/packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The interface that is not the loopback. */
static const char *wire_name(void)
{
    static char name[IF_NAMESIZE];
    struct if_nameindex *list = if_nameindex();

    for (int i = 0; list != NULL && list[i].if_index != 0; i++)
        if (strcmp(list[i].if_name, "lo") != 0)
            strcpy(name, list[i].if_name);
    if_freenameindex(list);
    return name;
}

static const char *name_text(const char *name)
{
    return strcmp(name, wire_name()) == 0 ? "wire" : name;
}

static const char *address_text(const struct sockaddr *address)
{
    static char texts[4][INET6_ADDRSTRLEN];
    static int turn;
    char *text = texts[turn++ % 4];

    if (address == NULL)
        return "none";
    if (address->sa_family == AF_INET)
        inet_ntop(AF_INET, &((const struct sockaddr_in *)address)->sin_addr, text, INET6_ADDRSTRLEN);
    else if (address->sa_family == AF_INET6)
        inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)address)->sin6_addr, text, INET6_ADDRSTRLEN);
    else
        return "other";
    return text;
}

static void print_packet_address(const struct ifaddrs *entry)
{
    struct sockaddr_ll ll, other;

    memcpy(&ll, entry->ifa_addr, sizeof ll);
    memcpy(&other, entry->ifa_broadaddr, sizeof other);
    oracle_say("  packet: hardware type %d, %d bytes, the index of the name: %d", ll.sll_hatype, ll.sll_halen,
               (unsigned)ll.sll_ifindex == if_nametoindex(entry->ifa_name));
    oracle_say("  broadcast %02x %02x, data: %s, mask: %s", other.sll_addr[0], other.sll_addr[5],
               entry->ifa_data != NULL ? "there" : "none", address_text(entry->ifa_netmask));
}

static void run_getifaddrs(void)
{
    struct ifaddrs *list = NULL;

    CALL(getifaddrs(&list));
    for (const struct ifaddrs *entry = list; entry != NULL; entry = entry->ifa_next) {
        int family = entry->ifa_addr->sa_family;

        if (family != AF_PACKET && family != oracle_family())
            continue;
        if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&((struct sockaddr_in6 *)entry->ifa_addr)->sin6_addr))
            continue; /* made from a random number */
        oracle_say("%s flags 0x%x", name_text(entry->ifa_name), entry->ifa_flags);
        if (family == AF_PACKET)
            print_packet_address(entry);
        else
            oracle_say("  address %s mask %s broadcast %s", address_text(entry->ifa_addr),
                       address_text(entry->ifa_netmask), address_text(entry->ifa_broadaddr));
    }
    freeifaddrs(list);
}

static void run_names(void)
{
    struct if_nameindex *list = if_nameindex();
    char name[IF_NAMESIZE];

    for (int i = 0; list[i].if_index != 0; i++) {
        oracle_say("%s: the same index: %d", name_text(list[i].if_name),
                   if_nametoindex(list[i].if_name) == list[i].if_index);
        oracle_say("the same name: %d", if_indextoname(list[i].if_index, name) == name &&
                                            strcmp(name, list[i].if_name) == 0);
    }
    if_freenameindex(list);
    oracle_say("lo is first: %d", if_nametoindex("lo") == 1);
    CALL(if_nametoindex("nosuch"));
    CALL(if_nametoindex(""));
    CALL(if_nametoindex("a-name-that-is-too-long"));
    CALL(if_indextoname(9999, name) != NULL);
    CALL(if_indextoname(0, name) != NULL);
}

/* One ioctl; shows the 16 bytes of the result that mean something for it. */
static void do_ioctl(int fd, const char *text, unsigned long request, const char *name)
{
    struct ifreq line = {0};
    long result;

    strncpy(line.ifr_name, name, IF_NAMESIZE - 1);
    errno = ORACLE_ERRNO_UNTOUCHED;
    result = ioctl(fd, request, &line);
    oracle_say("%s %s: %ld %s", text, name_text(name), result, result < 0 ? oracle_errno_text(errno) : "");
    if (result < 0)
        return;
    switch (request) {
    case SIOCGIFFLAGS:
        oracle_say("  0x%x", (unsigned)(unsigned short)line.ifr_flags);
        break;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
        oracle_say("  family %d %s", line.ifr_addr.sa_family, address_text(&line.ifr_addr));
        break;
    case SIOCGIFHWADDR:
        oracle_say("  type %d", line.ifr_hwaddr.sa_family);
        break;
    case SIOCGIFINDEX:
        oracle_say("  the same index: %d", (unsigned)line.ifr_ifindex == if_nametoindex(name));
        break;
    default:
        oracle_say("  %d", line.ifr_mtu);
        break;
    }
}

#define IOCTL(fd, request, name) do_ioctl(fd, #request, request, name)

static void do_ioctls(int fd, const char *name)
{
    IOCTL(fd, SIOCGIFFLAGS, name);
    IOCTL(fd, SIOCGIFADDR, name);
    IOCTL(fd, SIOCGIFDSTADDR, name);
    IOCTL(fd, SIOCGIFBRDADDR, name);
    IOCTL(fd, SIOCGIFNETMASK, name);
    IOCTL(fd, SIOCGIFMETRIC, name);
    IOCTL(fd, SIOCGIFMTU, name);
    IOCTL(fd, SIOCGIFHWADDR, name);
    IOCTL(fd, SIOCGIFINDEX, name);
    IOCTL(fd, SIOCGIFTXQLEN, name);
    IOCTL(fd, SIOCGIFMAP, name);
}

static void run_ioctls(void)
{
    int fd = oracle_socket();

    do_ioctls(fd, "lo");
    do_ioctls(fd, wire_name());
    do_ioctls(fd, "nosuch");
    do_ioctls(fd, "");
}

/* For these any socket will do. */
static void run_ioctls_unix(void)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);

    do_ioctls(fd, wire_name());
    do_ioctls(fd, "nosuch");
}

/* An alias of old. */
static void run_ioctl_alias(void)
{
    char name[IF_NAMESIZE] = "lo:1";
    int fd = oracle_socket();

    IOCTL(fd, SIOCGIFADDR, name);
    IOCTL(fd, SIOCGIFNETMASK, name);
    IOCTL(fd, SIOCGIFMTU, name);
}

static void run_ioctl_name(void)
{
    int fd = oracle_socket();
    struct ifreq line = {.ifr_ifindex = (int)if_nametoindex(wire_name())};

    CALL(ioctl(fd, SIOCGIFNAME, &line));
    oracle_say("%s", name_text(line.ifr_name));
    line = (struct ifreq){.ifr_ifindex = 9999};
    CALL(ioctl(fd, SIOCGIFNAME, &line));
    line.ifr_ifindex = 0;
    CALL(ioctl(fd, SIOCGIFNAME, &line));
    line.ifr_ifindex = -1;
    CALL(ioctl(fd, SIOCGIFNAME, &line));
}

static void print_list(const struct ifconf *list)
{
    oracle_say("length %d of %zu", list->ifc_len, sizeof(struct ifreq));
    for (size_t i = 0; list->ifc_buf != NULL && i < (size_t)list->ifc_len / sizeof(struct ifreq); i++)
        oracle_say("  %s family %d %s", name_text(list->ifc_req[i].ifr_name), list->ifc_req[i].ifr_addr.sa_family,
                   address_text(&list->ifc_req[i].ifr_addr));
}

static void run_ioctl_list(void)
{
    static const int rooms[] = {1000, 2 * sizeof(struct ifreq), sizeof(struct ifreq), 50, 10, 0, -1};
    struct ifreq lines[25];
    struct ifconf list = {.ifc_len = sizeof lines, .ifc_req = NULL};
    int fd = oracle_socket();

    CALL(ioctl(fd, SIOCGIFCONF, &list));
    print_list(&list);
    for (size_t i = 0; i < sizeof rooms / sizeof *rooms; i++) {
        list = (struct ifconf){.ifc_len = rooms[i], .ifc_req = lines};
        CALL(ioctl(fd, SIOCGIFCONF, &list));
        print_list(&list);
    }
}

static void run_ioctl_bad_pointer(void)
{
    int fd = oracle_socket();

    CALL(ioctl(fd, SIOCGIFCONF, NULL));
    CALL(ioctl(fd, SIOCGIFFLAGS, NULL));
    CALL(ioctl(fd, SIOCGIFADDR, (void *)8));
}

/* What only the administrator may do. */
static void run_ioctl_changes(void)
{
    struct ifreq line = {0};
    int fd = oracle_socket();

    strcpy(line.ifr_name, "lo");
    if (setuid(65534) < 0)
        oracle_die("setuid");
    CALL(ioctl(fd, SIOCSIFFLAGS, &line));
    CALL(ioctl(fd, SIOCSIFMTU, &line));
    CALL(ioctl(fd, SIOCSIFNAME, &line));
    CALL(ioctl(fd, SIOCSIFHWADDR, &line));
    CALL(ioctl(fd, SIOCSIFTXQLEN, &line));
    CALL(ioctl(fd, SIOCADDMULTI, &line));
    if (oracle_family() == AF_INET6)
        return; /* of IPv4's own */
    line.ifr_addr.sa_family = AF_INET;
    CALL(ioctl(fd, SIOCSIFADDR, &line));
    CALL(ioctl(fd, SIOCSIFNETMASK, &line));
    CALL(ioctl(fd, SIOCSIFBRDADDR, &line));
}

const struct oracle_case oracle_cases[] = {
    {"getifaddrs", run_getifaddrs},
    {"names", run_names},
    {"ioctls", run_ioctls},
    {"ioctls_unix", run_ioctls_unix},
    {"ioctl_alias", run_ioctl_alias},
    {"ioctl_name", run_ioctl_name},
    {"ioctl_list", run_ioctl_list},
    {"ioctl_bad_pointer", run_ioctl_bad_pointer},
    {"ioctl_changes", run_ioctl_changes},
    {NULL, NULL},
};
