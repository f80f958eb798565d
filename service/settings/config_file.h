/* config_file.h - the configuration file: lines `name = value`. */
#ifndef SIDESTACK_CONFIG_FILE_H
#define SIDESTACK_CONFIG_FILE_H

#include <stdbool.h>

/* Called for each line that is a pair; both texts are valid only then. Return: false when it is wrong, after telling
 * so. */
typedef bool config_line(void *context, int line, const char *name, const char *value);

/* Call back for each pair of the file; what is wrong is told, line by line. Return: true when all of it is good. */
bool config_file_read(const char *path, config_line *callback, void *context);

#endif
