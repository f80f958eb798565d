/* reload.h - the settings of a running service. */
#ifndef SIDESTACK_RELOAD_H
#define SIDESTACK_RELOAD_H

#include "options.h"

/* The settings that the service runs with (borrowed; reload_settings() changes them). */
void reload_begin(struct options *options);

/* Read the command line and the file again, and change what can change while the service runs; say what changed, and
 * what takes a restart. When something is wrong all stays as it is. */
void reload_settings(void);

#endif
