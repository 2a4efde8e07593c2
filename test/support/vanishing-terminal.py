# Runs a command whose standard streams are a terminal that vanishes. Arguments: "session" where the terminal is the
# command's own and so hangs up with SIGHUP, "streams" where it is not; a text that the command writes before the terminal
# goes; the command. Prints "gone" once the terminal is, then the exit code, negative where a signal ended it.
import os, pty, subprocess, sys

kind, sign, command = sys.argv[1], sys.argv[2].encode(), sys.argv[3:]
if kind == 'session':
    pid, master = pty.fork()
    if pid == 0:
        os.execvp(command[0], command)
    wait = lambda: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
else:
    master, slave = pty.openpty()
    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
    os.close(slave)
    wait = child.wait
seen = b''
while sign not in seen:
    try:
        seen += os.read(master, 65536)
    except OSError:
        # What Linux answers once nobody has the other end.
        sys.exit(f'{command} ended before it wrote {sign}: {seen}')
os.close(master)
print('gone', flush=True)
print(wait())
