/* notify.h - telling systemd how the service is (sd_notify(3)). Without NOTIFY_SOCKET in the environment nothing is
 * told. */
#ifndef SIDESTACK_NOTIFY_H
#define SIDESTACK_NOTIFY_H

void notify_ready(void);
/* This process is the service now; the one that systemd started ends. */
void notify_took_over(void);
void notify_reloading(void);
void notify_stopping(void);

#endif
