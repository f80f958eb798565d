/* isn.h - the secret behind initial sequence numbers. */
#ifndef SIDESTACK_ISN_H
#define SIDESTACK_ISN_H

/* Choose a new secret. Return: 0 or -errno. */
int isn_open(void);

#endif
