/*
 * interface_ioctl.c - the ioctls about interfaces (netdevice(7)): they show the stack's interfaces, on sockets of ours
 * and on those of AF_UNIX, which ifconfig and others use for it.
 *
 * Nobody may change them from here: what would is refused as it is to a user (EPERM). The stack's addresses are the
 * service's.
 *
 * DIFFERS: AF_NETLINK and AF_PACKET sockets, /proc/net and /sys show the kernel's interfaces. (docs/differences.md)
 */
#include "interface.h"

#include "address.h"
#include "libc.h"
#include "socket.h"

#include <errno.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>

#define TX_QUEUE_LENGTH 1000 /* a TAP device's, and the loopback's */
#define WIRELESS_FIRST 0x8b00
#define WIRELESS_LAST 0x8bff

enum ioctl_kind {
    IOCTL_OTHER,   /* not about interfaces */
    IOCTL_LIST,    /* SIOCGIFCONF */
    IOCTL_NAME,    /* SIOCGIFNAME */
    IOCTL_DEVICE,  /* asks for something that an interface has */
    IOCTL_ADDRESS, /* asks for something that an IPv4 address has */
    IOCTL_CHANGE,  /* changes something, or is for the privileged anyway */
    IOCTL_DRIVER,  /* for a driver that has more to say than ours */
    IOCTL_ARP,     /* SIOCGARP */
};

static enum ioctl_kind kind_of(unsigned long request)
{
    if (request >= WIRELESS_FIRST && request <= WIRELESS_LAST)
        return IOCTL_DRIVER;
    switch (request) {
    case SIOCGIFCONF:
        return IOCTL_LIST;
    case SIOCGIFNAME:
        return IOCTL_NAME;
    case SIOCGIFFLAGS:
    case SIOCGIFMETRIC:
    case SIOCGIFMTU:
    case SIOCGIFHWADDR:
    case SIOCGIFINDEX:
    case SIOCGIFTXQLEN:
    case SIOCGIFMAP:
        return IOCTL_DEVICE;
    case SIOCGIFADDR:
    case SIOCGIFDSTADDR:
    case SIOCGIFBRDADDR:
    case SIOCGIFNETMASK:
        return IOCTL_ADDRESS;
    case SIOCADDRT:
    case SIOCDELRT:
    case SIOCSIFLINK:
    case SIOCSIFFLAGS:
    case SIOCSIFADDR:
    case SIOCSIFDSTADDR:
    case SIOCSIFBRDADDR:
    case SIOCSIFNETMASK:
    case SIOCSIFMETRIC:
    case SIOCSIFMEM:
    case SIOCSIFMTU:
    case SIOCSIFNAME:
    case SIOCSIFHWADDR:
    case SIOCSIFENCAP:
    case SIOCSIFSLAVE:
    case SIOCADDMULTI:
    case SIOCDELMULTI:
    case SIOCSIFPFLAGS:
    case SIOCDIFADDR:
    case SIOCSIFHWBROADCAST:
    case SIOCSIFBR:
    case SIOCSIFTXQLEN:
    case SIOCDARP:
    case SIOCSARP:
    case SIOCSIFMAP:
    case SIOCBRADDBR:
    case SIOCBRDELBR:
        return IOCTL_CHANGE;
    case SIOCETHTOOL:
    case SIOCGMIIPHY:
    case SIOCGMIIREG:
    case SIOCSHWTSTAMP:
    case SIOCGHWTSTAMP:
        return IOCTL_DRIVER;
    case SIOCGARP:
        return IOCTL_ARP;
    default:
        return IOCTL_OTHER;
    }
}

bool interface_is_ioctl(unsigned long request)
{
    return kind_of(request) != IOCTL_OTHER;
}

bool interface_is_unix_ioctl(int fd, unsigned long request)
{
    int saved_errno = errno;
    int domain = 0;
    socklen_t length = sizeof domain;

    if (kind_of(request) == IOCTL_OTHER)
        return false;
    if (libc_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) < 0)
        domain = 0;
    errno = saved_errno;
    return domain == AF_UNIX;
}

static void set_address(struct sockaddr *out, const void *bytes)
{
    struct sockaddr_in in = {.sin_family = AF_INET};

    memcpy(&in.sin_addr, bytes, sizeof in.sin_addr);
    memcpy(out, &in, sizeof in);
}

/* SIOCGIFCONF: the IPv4 addresses, by interface. */
static int list_addresses(const struct interface_list *list, struct ifconf *out)
{
    size_t room, used = 0;

    if (memory_check(out, sizeof *out) < 0)
        return -EFAULT;
    room = out->ifc_len > 0 ? (size_t)out->ifc_len : 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct protocol_interface *entry = &list->entries[i];
        struct ifreq line = {0};

        if (entry->family != AF_INET)
            continue;
        if (out->ifc_buf != NULL) {
            if (used + sizeof line > room)
                break;
            interface_copy_name(interface_find_index(list, entry->index), line.ifr_name);
            set_address(&line.ifr_addr, entry->bytes);
            if (memory_check(out->ifc_buf + used, sizeof line) < 0)
                return -EFAULT;
            memcpy(out->ifc_buf + used, &line, sizeof line);
        }
        used += sizeof line;
    }
    out->ifc_len = (int)used;
    return 0;
}

/* Something that an interface has. */
static int get_device(const struct protocol_interface *interface, unsigned long request, struct ifreq *line)
{
    bool is_loopback = (interface->flags & IFF_LOOPBACK) != 0;

    switch (request) {
    case SIOCGIFFLAGS:
        line->ifr_flags = (short)interface->flags;
        break;
    case SIOCGIFMETRIC:
        line->ifr_metric = 0;
        break;
    case SIOCGIFMTU:
        line->ifr_mtu = (int)interface->mtu;
        break;
    case SIOCGIFHWADDR:
        memset(&line->ifr_hwaddr, 0, sizeof line->ifr_hwaddr);
        line->ifr_hwaddr.sa_family = is_loopback ? ARPHRD_LOOPBACK : ARPHRD_ETHER;
        memcpy(line->ifr_hwaddr.sa_data, interface->mac, 6);
        break;
    case SIOCGIFINDEX:
        line->ifr_ifindex = (int)interface->index;
        break;
    case SIOCGIFTXQLEN:
        line->ifr_qlen = TX_QUEUE_LENGTH;
        break;
    case SIOCGIFMAP:
        memset(&line->ifr_map, 0, sizeof line->ifr_map);
        break;
    default:
        break;
    }
    return 0;
}

/* The address that is asked about: the interface's first, but if the caller names one of its others, that one. */
static const struct protocol_interface *choose_address(const struct interface_list *list,
                                                       const struct protocol_interface *interface,
                                                       const struct ifreq *line)
{
    const struct protocol_interface *first = NULL;
    struct sockaddr_in wanted;

    memcpy(&wanted, &line->ifr_addr, sizeof wanted);
    for (size_t i = 0; i < list->count; i++) {
        const struct protocol_interface *entry = &list->entries[i];

        if (entry->family != AF_INET || entry->index != interface->index)
            continue;
        if (first == NULL)
            first = entry;
        if (wanted.sin_family == AF_INET && memcmp(&wanted.sin_addr, entry->bytes, sizeof wanted.sin_addr) == 0)
            return entry;
    }
    return first;
}

/* Something that an IPv4 address has. */
static int get_address(const struct interface_list *list, const struct protocol_interface *interface,
                       unsigned long request, struct ifreq *line)
{
    const struct protocol_interface *entry = choose_address(list, interface, line);
    uint32_t value;

    if (entry == NULL)
        return -EADDRNOTAVAIL;
    memcpy(&value, entry->bytes, sizeof value);
    if (request == SIOCGIFBRDADDR)
        value = interface_get_broadcast(entry, interface);
    else if (request == SIOCGIFNETMASK)
        interface_get_mask(entry->prefix_bits, (uint8_t *)&value, sizeof value);
    set_address(&line->ifr_addr, &value);
    return 0;
}

static bool is_ipv4(int fd)
{
    int domain = 0;
    socklen_t length = sizeof domain;

    return socket_getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &length) == 0 && domain == AF_INET;
}

/* A request with a struct ifreq. */
static int get_line(const struct interface_list *list, enum ioctl_kind kind, unsigned long request, struct ifreq *line)
{
    const struct protocol_interface *interface;
    char name[IF_NAMESIZE];
    char *label;

    if (kind == IOCTL_NAME) {
        interface = interface_find_index(list, (unsigned)line->ifr_ifindex);
        if (interface == NULL)
            return -ENODEV;
        interface_copy_name(interface, line->ifr_name);
        return 0;
    }
    memcpy(name, line->ifr_name, sizeof name);
    name[IF_NAMESIZE - 1] = '\0';
    label = strchr(name, ':'); /* an alias of old, "eth0:1" */
    if (label != NULL)
        *label = '\0';
    interface = interface_find_name(list, name);
    if (interface == NULL)
        return -ENODEV;
    if (kind == IOCTL_ADDRESS)
        return label != NULL ? -EADDRNOTAVAIL : get_address(list, interface, request, line);
    return kind == IOCTL_DEVICE ? get_device(interface, request, line) : -EOPNOTSUPP;
}

int interface_ioctl(int fd, unsigned long request, void *argument)
{
    enum ioctl_kind kind = kind_of(request);
    struct interface_list list;
    int error;

    if (kind == IOCTL_CHANGE)
        return -EPERM;
    if (kind == IOCTL_ARP)
        return -ENXIO; /* no such neighbour */
    if (kind != IOCTL_LIST && memory_check(argument, sizeof(struct ifreq)) < 0)
        return -EFAULT;
    if (kind == IOCTL_ADDRESS && !is_ipv4(fd))
        return -ENOTTY;
    error = interface_get_list(&list);
    if (error < 0)
        return error;
    return kind == IOCTL_LIST ? list_addresses(&list, argument) : get_line(&list, kind, request, argument);
}
