#!/usr/bin/env python3
"""Runs a command on a terminal of so many columns and prints what a person sees of it, as text.

    scripts/record_terminal.py --columns 60 -- build/release/bin/akin fit birds --out runs/birds

Lines that are drawn over appear as they stood in the end; with --frames also as they stood every so many seconds,
each behind "> ". What a line says behind its last column goes on in the next one, as terminals do it.
"""
import argparse
import fcntl
import os
import pty
import re
import select
import struct
import sys
import termios
import time
import unicodedata

PART = re.compile(r"\x1b\[[0-9;?]*([A-Za-z])|\x1b\]8;;.*?\x1b\\|(\r)|(\n)|([^\x1b])", re.S)


class Screen:
    def __init__(self, columns):
        self.columns, self.lines, self.line, self.at = columns, [], [], 0

    def feed(self, text):
        for m in PART.finditer(text):
            command, back, end, letter = m.groups()
            if command == "K":
                del self.line[self.at:]
            elif back:
                self.at = 0
            elif end:
                self.end_line()
            elif letter:
                self.put(letter)

    def put(self, letter):
        if unicodedata.combining(letter):
            return
        width = 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        if self.at + width > self.columns:
            self.end_line()
        self.line += [" "] * (self.at - len(self.line))
        self.line[self.at:self.at + width] = [letter] + [""] * (width - 1)
        self.at += width

    def end_line(self):
        self.lines.append(self.shown())
        self.line, self.at = [], 0

    def shown(self):
        return "".join(self.line).rstrip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=80)
    parser.add_argument("--frames", type=float, default=0, metavar="SECONDS")
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    command = options.command[options.command[:1] == ["--"]:]
    if not command:
        parser.error("give a command behind --")
    process, terminal = pty.fork()
    if process == 0:
        os.environ["TERM"] = "xterm"
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, options.columns, 0, 0))
    screen, begun, frames = Screen(options.columns), time.monotonic(), []
    waiting = b""
    while True:
        if select.select([terminal], [], [], 0.1)[0]:
            try:
                got = os.read(terminal, 65536)
            except OSError:
                break
            if not got:
                break
            waiting += got
            # A letter or a command may be cut: the rest of it comes.
            cut = max(waiting.rfind(b"\x1b"), len(waiting) - 3)
            whole = waiting if waiting[-1:] in b"\n\rK\\m" else waiting[:cut]
            waiting = waiting[len(whole):]
            screen.feed(whole.decode(errors="replace"))
        if options.frames and time.monotonic() - begun >= options.frames * (len(frames) + 1):
            frames.append(screen.shown())
            if frames[-1]:
                screen.lines.append("> " + frames[-1])
    screen.feed(waiting.decode(errors="replace"))
    if screen.line:
        screen.end_line()
    print("\n".join(screen.lines))
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


if __name__ == "__main__":
    sys.exit(main())
