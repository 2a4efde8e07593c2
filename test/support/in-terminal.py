# Runs a command in a terminal of its own. Speaks JSON lines: on standard input {"resize": [columns, rows]} or
# {"type": text}; on standard output {"out": base64} for what the command writes, {"resized": [columns, rows]} where in
# that a resize took effect, and {"code": n} at the end. Arguments: columns, rows, command...
import base64, fcntl, json, os, pty, select, signal, struct, sys, termios

def size(fd, columns, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

def say(message):
    sys.stdout.write(json.dumps(message) + '\n')
    sys.stdout.flush()

pid, fd = pty.fork()
if pid == 0:
    size(0, int(sys.argv[1]), int(sys.argv[2]))
    os.execvp(sys.argv[3], sys.argv[3:])
orders = b''
listening = [fd, 0]
while True:
    ready, _, _ = select.select(listening, [], [])
    if fd in ready:
        try:
            data = os.read(fd, 65536)
        except OSError:
            data = b''
        if not data:
            break
        say({'out': base64.b64encode(data).decode()})
    elif 0 in ready:
        data = os.read(0, 65536)
        if not data:
            # Nobody is there any more to watch it.
            os.kill(pid, signal.SIGKILL)
            listening = [fd]
        orders += data
        *lines, orders = orders.split(b'\n')
        for line in lines:
            order = json.loads(line)
            if 'resize' in order:
                say({'resized': order['resize']})
                size(fd, *order['resize'])
            else:
                os.write(fd, order['type'].encode())
_, status = os.waitpid(pid, 0)
say({'code': os.waitstatus_to_exitcode(status)})
