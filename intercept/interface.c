/* interface.c - the list of the stack's interfaces and addresses, and what is found in it. */
#include "interface.h"

#include "control.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define ATTEMPTS 3

/* Ask for all entries once. Return: 0, -EAGAIN when the list changed meanwhile, or another -errno. */
static int read_list(struct interface_list *list)
{
    size_t total = 0;

    list->count = 0;
    do {
        struct protocol_message message;
        size_t room = INTERFACE_ENTRIES_MAX - list->count;
        size_t came;
        int error;

        control_prepare(&message, PROTOCOL_INTERFACES);
        message.args[0] = (int32_t)list->count;
        error = control_request(&message, -1, NULL);
        if (error < 0)
            return error;
        came = message.option_length / sizeof *list->entries;
        if (list->count > 0 && (size_t)message.args[0] != total)
            return -EAGAIN;
        total = (size_t)message.args[0];
        if (came > room)
            came = room;
        if (came == 0)
            break;
        memcpy(&list->entries[list->count], message.option, came * sizeof *list->entries);
        list->count += came;
    } while (list->count < total);
    return 0;
}

int interface_get_list(struct interface_list *list)
{
    int error = -EAGAIN;

    for (int i = 0; i < ATTEMPTS && error == -EAGAIN; i++)
        error = read_list(list);
    for (size_t i = 0; error == 0 && i < list->count; i++)
        if (interface_find_index(list, list->entries[i].index) == NULL)
            error = -EPROTO; /* an address without an interface */
    return error == 0 && list->count == 0 ? -EPROTO : error;
}

const struct protocol_interface *interface_find_name(const struct interface_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].family == AF_UNSPEC &&
            strncmp((const char *)list->entries[i].bytes, name, IF_NAMESIZE - 1) == 0)
            return &list->entries[i];
    return NULL;
}

const struct protocol_interface *interface_find_index(const struct interface_list *list, unsigned index)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].family == AF_UNSPEC && list->entries[i].index == index)
            return &list->entries[i];
    return NULL;
}

void interface_copy_name(const struct protocol_interface *interface, char name[IF_NAMESIZE])
{
    memcpy(name, interface->bytes, IF_NAMESIZE);
    name[IF_NAMESIZE - 1] = '\0';
}

void interface_get_mask(unsigned prefix_bits, uint8_t *mask, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        unsigned left = prefix_bits > i * 8 ? prefix_bits - (unsigned)i * 8 : 0;

        mask[i] = left >= 8 ? 0xff : (uint8_t)(0xff00 >> left);
    }
}

uint32_t interface_get_broadcast(const struct protocol_interface *address, const struct protocol_interface *interface)
{
    uint32_t own, mask;

    if ((interface->flags & IFF_BROADCAST) == 0 || address->prefix_bits > 30)
        return 0;
    memcpy(&own, address->bytes, sizeof own);
    interface_get_mask(address->prefix_bits, (uint8_t *)&mask, sizeof mask);
    return own | ~mask;
}
