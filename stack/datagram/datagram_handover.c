/*
 * datagram_handover.c - a datagram socket's state into an archive and out of it.
 *
 * What is not named here is a pointer or a link, which the reader makes anew by entering the socket in the tables.
 */
#include "stack/handover.h"

#include "datagram_socket.h"

void stack_handover_datagram(struct archive *archive, struct stack_datagram *datagram)
{
    bool in_table = datagram->port_link != NULL || datagram->lookup_link != NULL;

    if (!archive->is_writing)
        datagram_table_remove(datagram); /* a raw one is entered when it is opened */
    archive_number(archive, "in_table", &in_table, sizeof in_table);
    ARCHIVE_NUMBER(archive, datagram, protocol);
    ARCHIVE_NUMBER(archive, datagram, connected);
    ARCHIVE_NUMBER(archive, datagram, port_locked);
    ARCHIVE_NUMBER(archive, datagram, address_locked);
    ARCHIVE_RAW(archive, datagram, local);
    ARCHIVE_RAW(archive, datagram, source);
    ARCHIVE_RAW(archive, datagram, peer);
    ARCHIVE_NUMBER(archive, datagram, local_port);
    ARCHIVE_NUMBER(archive, datagram, peer_port);
    ARCHIVE_RAW(archive, datagram, options);
    ARCHIVE_RAW(archive, datagram, traffic);
    ARCHIVE_RAW(archive, datagram, filter);
    datagram_multicast_handover(archive, datagram);
    if (!archive->is_writing && in_table)
        datagram_table_enter(datagram);
}
