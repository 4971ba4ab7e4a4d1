/* The supervised program: says when it runs, then waits for a signal.
 *
 * usage: worker FIFO
 *
 * Writes two native int64, its PID and CLOCK_MONOTONIC in nanoseconds at the top of main(), in one atomic write.
 */
#include <fcntl.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t birth[2] = {getpid(), (int64_t)now.tv_sec * 1000000000 + now.tv_nsec};
    int fd = argc > 1 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;
    if (fd < 0 || write(fd, birth, sizeof birth) != sizeof birth)
        return 111;
    close(fd);
    for (;;)
        pause();
}
