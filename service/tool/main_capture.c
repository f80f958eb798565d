/* main_capture.c - sidestack-capture, a program of its own for the libraries that it needs: sidestack run starts sooner
 * without them. */
#include "sidestack.h"

int main(int argc, char **argv)
{
    argv[0] = (char *)"sidestack capture"; /* getopt_long() begins its messages with it */
    return sidestack_capture(argc, argv);
}
