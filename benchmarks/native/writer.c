/* The supervised program that writes: says when it runs, waits until the gate opens, writes, says when it is done.
 *
 * usage: writer FIFO GATE blocks COUNT    COUNT blocks of 64 KiB as fast as it can; 0: for ever
 *        writer FIFO GATE lines RATE      RATE lines of 100 bytes a second, each in a write of its own
 *
 * Into FIFO go two native int64, as from worker.c, at the top of main() and after the last block. The gate is a FIFO
 * that somebody opens for writing. A block is made of lines of 128 bytes:
 *
 *     PID in 8 digits, block in 8 hexadecimal digits, line in 3 digits, dots
 *
 * so that each line tells where it belongs.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { BLOCK = 65536, LINE = 128, NUMBER = 9, SHORT = 100, SECOND = 1000000000 };

static char block[BLOCK];

static void report(int fd)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t record[2] = {getpid(), (int64_t)now.tv_sec * SECOND + now.tv_nsec};
    if (write(fd, record, sizeof record) != sizeof record)
        _exit(111);
}

static void put(const char *data, size_t size)
{
    for (ssize_t done; size > 0; data += done, size -= done)
        if ((done = write(1, data, size)) < 0)
            _exit(112);
}

static void blocks(long count)
{
    char text[LINE];
    for (int line = 0; line < BLOCK / LINE; line++) {
        memset(text, '.', LINE);
        text[snprintf(text, LINE, "%08d %08x %03d ", (int)getpid(), 0, line)] = '.';
        text[LINE - 1] = '\n';
        memcpy(block + line * LINE, text, LINE);
    }
    for (long number = 0; count == 0 || number < count; number++) {
        snprintf(text, LINE, "%08lx", number & 0xffffffff);
        for (int line = 0; line < BLOCK / LINE; line++)
            memcpy(block + line * LINE + NUMBER, text, 8);
        put(block, BLOCK);
    }
}

static void lines(long rate)
{
    struct timespec next;
    memset(block, '.', SHORT);
    block[SHORT - 1] = '\n';
    clock_gettime(CLOCK_MONOTONIC, &next);
    /* Many of them are let in at once; they are not to go on in step. */
    next.tv_nsec += getpid() * 7919L % (SECOND / rate);
    for (;;) {
        next.tv_nsec += SECOND / rate;
        while (next.tv_nsec >= SECOND) {
            next.tv_nsec -= SECOND;
            next.tv_sec++;
        }
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
        put(block, SHORT);
    }
}

int main(int argc, char **argv)
{
    int fifo = argc == 5 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;
    if (fifo < 0)
        return 111;
    report(fifo);
    if (open(argv[2], O_RDONLY | O_CLOEXEC) < 0)
        return 113;
    if (argv[3][0] == 'b')
        blocks(atol(argv[4]));
    else
        lines(atol(argv[4]));
    report(fifo);
    for (;;)
        pause();
}
