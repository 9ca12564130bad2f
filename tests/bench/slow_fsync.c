/* Adds 2 ms to every fsync and fdatasync: what a network disk or a spinning one costs. Only for measuring. */
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static void disk(void) {
    struct timespec two_ms = {0, 2000000};
    nanosleep(&two_ms, 0);
}

int fsync(int fd) {
    disk();
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    disk();
    return (int)syscall(SYS_fdatasync, fd);
}
