/* The least that a supervisor can do: posix_spawn N times, replace what dies, end with SIGTERM.
 *
 * usage: floor N PROGRAM ARGS...
 */
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <sys/wait.h>

extern char **environ;

static posix_spawnattr_t attributes;

static pid_t spawn(char **argv)
{
    pid_t pid;
    if (posix_spawn(&pid, argv[0], NULL, &attributes, argv, environ) != 0)
        exit(111);
    return pid;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 100;
    int wanted = atoi(argv[1]), alive = 0, stopping = 0;
    pid_t *pids = calloc(wanted, sizeof *pids);
    sigset_t waited, none;

    sigemptyset(&none);
    sigemptyset(&waited);
    sigaddset(&waited, SIGCHLD);
    sigaddset(&waited, SIGTERM);
    sigprocmask(SIG_BLOCK, &waited, NULL);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    posix_spawnattr_setsigmask(&attributes, &none);

    for (; alive < wanted; alive++)
        pids[alive] = spawn(argv + 2);
    while (alive > 0) {
        if (sigwaitinfo(&waited, NULL) == SIGTERM && !stopping) {
            stopping = 1;
            for (int i = 0; i < wanted; i++)
                kill(pids[i], SIGTERM);
        }
        for (pid_t dead; (dead = waitpid(-1, NULL, WNOHANG)) > 0;) {
            if (stopping) {
                alive--;
                continue;
            }
            for (int i = 0; i < wanted; i++)
                if (pids[i] == dead) {
                    pids[i] = spawn(argv + 2);
                    break;
                }
        }
    }
    return 0;
}
