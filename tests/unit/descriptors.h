/* descriptors.h - how many descriptors are open: a test's teardown compares. */
#ifndef SIDESTACK_TEST_DESCRIPTORS_H
#define SIDESTACK_TEST_DESCRIPTORS_H

/* Return: the number of open descriptors of this process. */
int count_descriptors(void);

#endif
