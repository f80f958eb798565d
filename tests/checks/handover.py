#!/usr/bin/python3
"""Every field of the structures that a takeover hands over is either named where they are walked, or on the list below with the reason why not.

So a new field of a socket can't be forgotten: this fails until somebody has said what becomes of it.
"""
import os
import re
import sys

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
LWIP = os.environ.get("LWIP_SRC", os.path.join(TOP, "build", "lwip"))

# (header, structure, where it is walked, {field: why it is not})
STRUCTURES = [
    ("stack/tcp/tcp_socket.h", "stack_tcp", "stack/tcp/tcp_handover_state.c", {
        "pcb": "made anew", "events": "the owner's", "owner": "the owner's", "owned": "by adoption", "depth": "0 between turns",
        "abort_pending": "false between turns", "close_pending": "false between turns", "port_next": "link", "port_link": "as in_table",
        "user": "by the label",
        "in_time_wait": "not kept", "time_wait_ticks": "not kept", "time_wait_prev": "link", "time_wait_next": "link",
        "listener": "as a number", "incoming": "counted anew", "may_accept": "the owner's", "send": "tcp_handover_segments", "sender": "tcp_handover_sender",
        "acknowledger": "tcp_handover_acknowledger", "ecn": "tcp_handover_ecn", "receive": "tcp_handover_received", "window": "tcp_handover_window",
        "handover_number": "the archive's own", "all_prev": "link", "all_next": "link",
        "lookup_next": "link", "lookup_link": "link", "timer": "set anew", "timer_ticks": "set anew", "incoming_first": "link",
        "incoming_next": "link", "incoming_link": "link"}),
    ("stack/tcp/tcp_socket.h", "receive_window", "stack/tcp/tcp_handover_state.c", {}),
    ("stack/tcp/tcp_socket.h", "send_queue", "stack/tcp/tcp_handover_queue.c", {
        "head": "by its bytes", "tail": "link", "filling": "link", "handing": "link", "queued": "counted anew", "unhanded": "counted anew",
        "memory": "counted anew", "user": "the socket's"}),
    ("stack/tcp/tcp_sender.h", "tcp_sender", "stack/tcp/tcp_handover_state.c", {
        "board": "with the segments", "congestion": "tcp_handover_congestion", "clock": "walk_clock", "resending": "false between turns", "large": "false when they were cut",
        "mtu_probe": "walk_mtu_probe"}),
    ("stack/tcp/tcp_mtu_probe.h", "mtu_probe", "stack/tcp/tcp_handover_state.c", {}),
    ("stack/tcp/tcp_congestion.h", "congestion", "stack/tcp/tcp_handover_state.c", {"algorithm": "by its name"}),
    ("stack/tcp/tcp_acknowledge.h", "acknowledger", "stack/tcp/tcp_handover_state.c", {
        "wanted": "false between turns", "next": "link", "clock": "walk_clock", "gap": "of one segment", "pushed": "of one segment"}),
    ("stack/tcp/tcp_ecn.h", "tcp_ecn", "stack/tcp/tcp_handover_state.c", {}),
    ("stack/tcp/tcp_scoreboard.h", "sent_segment", "stack/tcp/tcp_handover_queue.c", {"segment": "made anew"}),
    ("stack/datagram/datagram_socket.h", "stack_datagram", "stack/datagram/datagram_handover.c", {
        "events": "the owner's", "owner": "the owner's", "kind": "by the owner", "family": "by the owner", "memberships": "datagram_multicast_handover",
        "all_next": "link", "all_link": "link", "port_next": "link", "port_link": "as in_table", "lookup_next": "link", "lookup_link": "link"}),
    ("service/socket.h", "socket", "service/takeover/takeover_state.c", {
        "watch": "watched anew", "work": "all of it is looked at anew", "work_list": "with the work", "is_charged": "counted anew", "last_info": "by its bytes", "datagram": "walk_datagram", "tcp": "as a number",
        "watches_room": "watched anew", "writes_much": "learned anew", "cork_page": "cork_handover", "cork_slot": "cork_handover", "cork_children": "cork_handover", "pair_is_empty": "then it is drained in vain", "program": "takeover_walk_program", "rules": "walk_rules, walk_who",
        "waiters": "by the clients", "untaken_count": "counted anew", "untaken": "by numbers", "undelivered": "by its number", "listener": "by its children",
        "untaken_link": "link", "retired_link": "link", "deferred_link": "link", "busy_link": "link", "state_link": "link", "hash_next": "link", "number_next": "link"}),
    ("service/datagram/datagram.h", "datagram", "service/takeover/takeover_state.c", {
        "stack": "stack_handover_datagram", "is_shutting_down": "false between turns", "cork": "by its bytes", "errors": "datagram_relay_handover",
        "error_count": "counted anew"}),
    ("service/client.h", "client", "service/client.c", {
        "source": "watched anew", "who": "asked anew", "who_pid": "asked anew", "who_uid": "asked anew", "says_who": "asked anew",
        "program": "takeover_walk_program", "waiting_for": "by its number", "wait_link": "link", "lookup": "started anew", "link": "link"}),
]
# lwIP's control block: its fields come from macros as well, so they are listed by hand with the version that they are of.


def body_of(text, name):
    """The text between the braces of a structure."""
    match = re.search(r"^struct %s \{" % name, text, re.M)
    if match is None:
        return None
    depth, at = 1, match.end()
    while depth > 0:
        depth += {"{": 1, "}": -1}.get(text[at], 0)
        at += 1
    return text[match.end():at - 1]


def fields_of(body):
    body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
    while re.search(r"\{[^{}]*\}", body):  # what is nested counts as one
        body = re.sub(r"\{[^{}]*\}", "", body)
    for declaration in body.split(";"):
        declaration = declaration.strip()
        if not declaration:
            continue
        entry = re.match(r"TAILQ_ENTRY\(\w+\)\s*(\w+)$", declaration)
        if entry:
            yield entry.group(1)
            continue
        function = re.search(r"\(\*(\w+)\)", declaration)
        if function:
            yield function.group(1)
            continue
        for part in declaration.split(","):
            part = re.sub(r"\[[^\]]*\]", "", part)
            yield re.findall(r"\w+", part)[-1]


def main():
    bad = 0
    for header, name, walker, exempt in STRUCTURES:
        with open(os.path.join(TOP, header), encoding="utf-8") as file:
            body = body_of(file.read(), name)
        with open(os.path.join(TOP, walker), encoding="utf-8") as file:
            walked = file.read()
        if body is None:
            print(f"{header}: there is no struct {name} any more")
            bad += 1
            continue
        for field in fields_of(body):
            if field in exempt or re.search(r"[,(>.] *%s\)" % field, walked) or re.search(r"(->|\.)%s\b" % field, walked):
                continue
            print(f"{header}: struct {name}: say in {walker} what becomes of .{field} when another service takes over, or here why it is not kept")
            bad += 1
    return 1 if bad else 0


sys.exit(main())
