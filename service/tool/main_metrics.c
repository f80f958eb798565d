/* main_metrics.c - sidestack-metrics, a program of its own for the libraries that it needs: sidestack run starts sooner
 * without them. */
#include "sidestack.h"

int main(int argc, char **argv)
{
    argv[0] = (char *)"sidestack metrics"; /* getopt_long() begins its messages with it */
    return sidestack_metrics(argc, argv);
}
