/* takeover_program.h - a program into an archive and out of it, each time that something of its comes by. */
#ifndef SIDESTACK_TAKEOVER_PROGRAM_H
#define SIDESTACK_TAKEOVER_PROGRAM_H

struct archive;
struct program;

/* In either direction; reading: *program is held once more for the caller, and is the same for the same number. NULL is
 * kept as NULL. */
void takeover_walk_program(struct archive *archive, struct program **program);

/* Reading is over: hold them for their users alone. */
void takeover_forget_programs(void);

#endif
