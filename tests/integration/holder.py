"""Holds pgward's listening sockets while it is restarted, as systemd does.
Arguments: program, configuration, log, the two ports. Each line of standard input restarts it."""
import fcntl, os, signal, socket, sys

program, config, log, *ports = sys.argv[1:]
held = []
for port in ports:
    one = socket.socket()
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind(("127.0.0.1", int(port)))
    one.listen(1024)
    # Out of the way of the places where they are to be.
    held.append(fcntl.fcntl(one.fileno(), fcntl.F_DUPFD, 100))
    one.close()


def start():
    pid = os.fork()
    if pid == 0:
        for place, one in enumerate(held):
            os.dup2(one, 3 + place, inheritable=True)
        errors = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(errors, 2)
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(held)))
        os.execvp("setpriv", ["setpriv", "--pdeathsig", "KILL", program, "serve", "--config", config])
    return pid


pid = start()
print("started", flush=True)
for _ in sys.stdin:
    os.kill(pid, signal.SIGTERM)
    os.waitpid(pid, 0)
    pid = start()
    print("restarted", flush=True)
os.kill(pid, signal.SIGTERM)
os.waitpid(pid, 0)
