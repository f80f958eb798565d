/* descriptors.h - how many descriptors are open: a test compares before and after. */
#ifndef TEST_DESCRIPTORS_H
#define TEST_DESCRIPTORS_H

#include <dirent.h>
#include <stdlib.h>

/* Return: the number of open descriptors of this process. */
static inline int count_descriptors(void)
{
    DIR *directory = opendir("/proc/self/fd");
    int count = 0;

    if (directory == NULL)
        abort();
    while (readdir(directory) != NULL)
        count++;
    closedir(directory);
    return count - 3; /* ".", ".." and the directory itself */
}

#endif
