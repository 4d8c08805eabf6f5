import { FRAME, MAX_CONNECTIONS, MAX_PAYLOAD, WINDOW } from "./frames.ts";

/** The relay for images with Python 3 (3.5 and later, standard library only). Speaks the frames of `frames.ts`. */
export const pythonRelay = (port: number): string => `
import os, selectors, socket, struct, sys, time
WINDOW, PAYLOAD, LIMIT, PORT = ${WINDOW}, ${MAX_PAYLOAD}, ${MAX_CONNECTIONS}, ${port}
HELLO, OPEN, DATA, END, RESET, CREDIT, PING, FAILED = ${Object.values(FRAME).join(", ")}
OUT_FULL, SILENT = 512 * 1024, 90
sel = selectors.DefaultSelector()
out, inp, conns = bytearray(), bytearray(), {}
os.set_blocking(0, False)
os.set_blocking(1, False)
heard = time.monotonic()

def send(kind, conn, payload=b""):
    out.extend(struct.pack(">BII", kind, conn, len(payload)))
    out.extend(payload)

def flush():
    while out:
        try:
            with memoryview(out) as view:
                n = os.write(1, view[:262144])
        except BlockingIOError:
            return
        except OSError:
            os._exit(0)
        del out[:n]

class Conn:
    def __init__(self, ident, sock):
        self.id, self.sock, self.credit = ident, sock, WINDOW
        self.todo, self.taken = bytearray(), 0
        self.read_over = self.write_over = self.ending = False
        self.mask = 0

def interest(c):
    mask = 0
    if not c.read_over and c.credit > 0 and len(out) < OUT_FULL:
        mask |= selectors.EVENT_READ
    if c.todo:
        mask |= selectors.EVENT_WRITE
    if mask == c.mask:
        return
    if c.mask == 0:
        sel.register(c.sock, mask, c)
    elif mask == 0:
        sel.unregister(c.sock)
    else:
        sel.modify(c.sock, mask, c)
    c.mask = mask

def drop(c, tell):
    if conns.pop(c.id, None) is None:
        return
    if c.mask:
        sel.unregister(c.sock)
        c.mask = 0
    if tell:
        send(RESET, c.id)
    c.sock.close()

def write(c):
    try:
        while c.todo:
            with memoryview(c.todo) as view:
                n = c.sock.send(view[:262144])
            del c.todo[:n]
            c.taken += n
    except BlockingIOError:
        pass
    except OSError:
        return drop(c, True)
    if c.taken >= WINDOW // 4:
        send(CREDIT, c.id, struct.pack(">I", c.taken))
        c.taken = 0
    if c.ending and not c.todo and not c.write_over:
        c.write_over = True
        try:
            c.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
    over(c)

def read(c):
    try:
        data = c.sock.recv(min(PAYLOAD, c.credit))
    except BlockingIOError:
        return
    except OSError:
        return drop(c, True)
    if data:
        c.credit -= len(data)
        send(DATA, c.id, data)
    else:
        c.read_over = True
        send(END, c.id)
    over(c)

def over(c):
    if c.read_over and c.write_over:
        drop(c, False)
    elif c.id in conns:
        interest(c)

def handle(kind, ident, payload):
    if kind == PING:
        return send(PING, 0)
    c = conns.get(ident)
    if c is None:
        return
    if kind == DATA:
        c.todo.extend(payload)
        write(c)
    elif kind == END:
        c.ending = True
        write(c)
    elif kind == RESET:
        try:
            c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        except OSError:
            pass
        drop(c, False)
    elif kind == CREDIT:
        c.credit += struct.unpack(">I", payload)[0]
        interest(c)

def receive():
    global heard
    try:
        data = os.read(0, 262144)
    except BlockingIOError:
        return
    except OSError:
        os._exit(0)
    if not data:
        os._exit(0)
    heard = time.monotonic()
    inp.extend(data)
    at = 0
    while len(inp) - at >= 9:
        kind, ident, size = struct.unpack_from(">BII", inp, at)
        if len(inp) - at < 9 + size:
            break
        handle(kind, ident, bytes(inp[at + 9:at + 9 + size]))
        at += 9 + size
    del inp[:at]

listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
for turn in range(20):
    try:
        listener.bind(("127.0.0.1", PORT))
        break
    except OSError as error:
        if turn == 19:
            send(FAILED, 0, ("port %d in the container is taken by another program" % PORT).encode())
            os.set_blocking(1, True)
            flush()
            os._exit(0)
        time.sleep(0.15)
listener.listen(256)
listener.setblocking(False)
sel.register(0, selectors.EVENT_READ, "in")
send(HELLO, 0)
last, out_on, listen_on = 0, False, False
while True:
    flush()
    if bool(out) != out_on:
        out_on = bool(out)
        (sel.register(1, selectors.EVENT_WRITE, "out") if out_on else sel.unregister(1))
    if (len(conns) < LIMIT) != listen_on:
        listen_on = not listen_on
        (sel.register(listener, selectors.EVENT_READ, "new") if listen_on else sel.unregister(listener))
    full = len(out) >= OUT_FULL
    for key, mask in sel.select(30):
        what = key.data
        if what == "in":
            receive()
        elif what == "out":
            flush()
        elif what == "new":
            try:
                sock = listener.accept()[0]
            except OSError:
                continue
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            last = last % 0xffffffff + 1
            conns[last] = Conn(last, sock)
            send(OPEN, last)
            interest(conns[last])
        else:
            if mask & selectors.EVENT_WRITE and what.id in conns:
                write(what)
            if mask & selectors.EVENT_READ and what.id in conns and not what.read_over:
                read(what)
    if full or len(out) >= OUT_FULL:
        flush()
        for c in list(conns.values()):
            interest(c)
    if time.monotonic() - heard > SILENT:
        os._exit(0)
`;
