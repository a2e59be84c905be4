#!/usr/bin/env python3
"""A wire between network namespaces for kernels without netem: passes Ethernet frames on, late, some not at all.

Usage: wire.py HOSTS DELAY-MS LOSS-PERCENT RATE-MBIT   (rate 0: no limit)

Makes the interfaces port0, port1, ... and prints "ready"; they may then be moved to other namespaces. Host i has the
address 02:00:00:00:00:<i>. netns.sh starts and ends it.
"""
import fcntl
import heapq
import os
import random
import select
import struct
import sys
import time

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000


def open_port(number):
    port = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(port, TUNSETIFF, struct.pack("16sH22x", b"port%d" % number, IFF_TAP | IFF_NO_PI))
    return port


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    hosts, (delay, loss, rate) = int(sys.argv[1]), map(float, sys.argv[2:])
    chance = random.Random(1)
    ports = [open_port(i) for i in range(hosts)]
    number_of = {port: i for i, port in enumerate(ports)}
    free = [0.0] * hosts  # when a host's line has sent what it has
    late = []  # (when, order, to, frame)
    order = 0
    poll = select.poll()
    for port in ports:
        poll.register(port, select.POLLIN)
    print("ready", flush=True)
    while True:
        wait = max(0.0, late[0][0] - time.monotonic()) * 1000 if late else None
        for port, _ in poll.poll(wait):
            i = number_of[port]
            for _ in range(64):
                try:
                    frame = os.read(port, 65536)
                except OSError:  # no more, or the interface is down
                    break
                now = time.monotonic()
                if rate > 0:
                    now = free[i] = max(now, free[i]) + len(frame) * 8 / (rate * 1e6)
                if chance.random() * 100 < loss:
                    continue
                to = [frame[5]] if frame[0] == 2 and frame[5] < hosts else [h for h in range(hosts) if h != i]
                for h in to:
                    heapq.heappush(late, (now + delay / 1000, order, h, frame))
                    order += 1
        now = time.monotonic()
        while late and late[0][0] <= now:
            _, _, h, frame = heapq.heappop(late)
            try:
                os.write(ports[h], frame)
            except OSError:  # it is down, and hears nothing
                pass


main()
