/* row.c - a socket as the service describes it, read from JSON. */
#include "row.h"

#include "ask.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *shown, *word;
} states[ROW_STATES] = {
    [TCP_ESTABLISHED] = {"ESTAB", "established"}, [TCP_SYN_SENT] = {"SYN-SENT", "syn-sent"},
    [TCP_SYN_RECV] = {"SYN-RECV", "syn-recv"},    [TCP_FIN_WAIT1] = {"FIN-WAIT-1", "fin-wait-1"},
    [TCP_FIN_WAIT2] = {"FIN-WAIT-2", "fin-wait-2"}, [TCP_TIME_WAIT] = {"TIME-WAIT", "time-wait"},
    [TCP_CLOSE] = {"UNCONN", "closed"},           [TCP_CLOSE_WAIT] = {"CLOSE-WAIT", "close-wait"},
    [TCP_LAST_ACK] = {"LAST-ACK", "last-ack"},    [TCP_LISTEN] = {"LISTEN", "listening"},
    [TCP_CLOSING] = {"CLOSING", "closing"},
};

const char *row_state_shown(int state)
{
    return state > 0 && state < ROW_STATES ? states[state].shown : "?";
}

const char *row_state_word(int state)
{
    return state > 0 && state < ROW_STATES ? states[state].word : "?";
}

bool row_is_tcp(const struct row *row)
{
    return strcmp(row->netid, "tcp") == 0;
}

bool row_address_is_v4(const struct row_address *address)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

    return memcmp(address->bytes, mapped, sizeof mapped) == 0;
}

static void read_address(const json_t *object, struct row_address *address)
{
    const char *text = json_text(object, "address");

    snprintf(address->text, sizeof address->text, "%s", text);
    address->port = (uint16_t)json_number(object, "port");
    address->scope = (uint32_t)json_number(object, "scope");
    if (inet_pton(AF_INET6, text, address->bytes) == 1)
        return;
    memset(address->bytes, 0, 10);
    memset(address->bytes + 10, 0xff, 2);
    (void)inet_pton(AF_INET, text, address->bytes + 12);
}

bool row_read(struct row *row, json_t *object)
{
    const json_t *program = json_object_get(object, "program");
    const char *word = json_text(object, "state");

    *row = (struct row){.object = object,
                        .id = json_number(object, "id"),
                        .netid = json_text(object, "netid"),
                        .family = (int)json_number(object, "family"),
                        .receive_q = json_number(object, "recv_q"),
                        .send_q = json_number(object, "send_q"),
                        .v6only = json_number(object, "v6only") != 0,
                        .uid = json_number(object, "uid"),
                        .inode = json_number(object, "inode"),
                        .pid = (pid_t)json_number(program, "pid"),
                        .program = json_text(program, "name"),
                        .info = json_object_get(object, "info")};
    for (int i = 1; i < ROW_STATES; i++)
        if (strcmp(word, states[i].word) == 0)
            row->state = i;
    if (row->state == 0 || json_object_get(object, "local") == NULL)
        return false;
    read_address(json_object_get(object, "local"), &row->local);
    if (json_object_get(object, "peer") != NULL)
        read_address(json_object_get(object, "peer"), &row->peer);
    return true;
}
