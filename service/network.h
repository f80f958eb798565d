/* network.h - what the network tells the service: addresses and name servers, as they come and go. */
#ifndef SIDESTACK_NETWORK_H
#define SIDESTACK_NETWORK_H

/* The stack's addresses or name servers changed (stack_config.changed): say so. */
void network_changed(void *context);

/* Log the addresses that the stack has. */
void network_log_addresses(void);

/* Wait until the stack has the addresses that it was told to ask for; signal_fd: as in loop_run(). Return: 0;
 * -ETIMEDOUT after saying what is missing, -EINTR when it is time to stop, or -errno of the loop. */
int network_wait(int signal_fd);

#endif
