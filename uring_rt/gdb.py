# SPDX-License-Identifier: MIT
"""gdb commands for programs on uring_rt.

    (gdb) source /usr/local/share/uring_rt/gdb.py
    (gdb) info urt                 every coroutine: state, function, where
    (gdb) urt bt ID                the backtrace of a coroutine
    (gdb) urt all                  the backtraces of all parked ones

A parked coroutine is walked by giving its saved registers to the current
thread for a moment, so the process must be alive (or a core that gdb lets
write registers for). Needs the debugging information of uring_rt.
"""
import gdb

COLOURS, COLOUR_STEP = 16, 128  # exec/stack.c


def coroutines():
    """All control blocks that were ever used."""
    coro = gdb.lookup_type("struct urt_coro")
    stacks = gdb.parse_and_eval("urt__rt.stacks")
    for k in range(stacks.type.range()[1] + 1):
        s = stacks[k]
        base, stride = int(s["base"]), int(s["stride"])
        for i in range(int(s["used"]) if base else 0):
            top = base + (i + 1) * stride - i % COLOURS * COLOUR_STEP
            address = gdb.Value(top - coro.sizeof)
            yield address.cast(coro.pointer()).dereference()


def reason(c):
    name = str(c["reason"].cast(gdb.lookup_type("enum urt__reason")))
    return name.replace("URT__R_", "").lower().replace("_", " ")


def running():
    """Addresses of the coroutines that run now, and their worker's number."""
    rt = gdb.parse_and_eval("urt__rt")
    workers = {}
    for i in range(int(rt["nr_workers"])):
        current = rt["worker"][i]["current"]
        if int(current):
            workers[int(current)] = i
    return workers


def function(c):
    if int(c["scope"]):
        return c["scope_fn"].format_string(symbols=True)
    return c["fn"].format_string(symbols=True)


def is_parked(c):
    """Whether its registers are those of ctx."""
    return int(c["park"]) & 3 != 0 or reason(c) == "preempted"


class Registers:
    """Gives the current thread others for a while."""

    names = ("sp", "fp", "pc")
    real = {"x86-64": ("rsp", "rbp", "rip"), "aarch64": ("sp", "x29", "pc")}

    def __init__(self, ctx):
        arch = gdb.newest_frame().architecture().name()
        self.regs = self.real["aarch64" if "aarch64" in arch else "x86-64"]
        self.ctx = ctx

    def __enter__(self):
        gdb.newest_frame().select()
        self.saved = [int(gdb.parse_and_eval("(long)$" + r)) for r in self.regs]
        self.set([int(self.ctx[n]) for n in self.names])

    def __exit__(self, *_):
        self.set(self.saved)

    def set(self, values):
        for register, value in zip(self.regs, values):
            gdb.execute("set $%s = %d" % (register, value))


def backtrace(c):
    with Registers(c["ctx"]):
        gdb.execute("backtrace")


class InfoUrt(gdb.Command):
    """Lists the coroutines of a program on uring_rt."""

    def __init__(self):
        super().__init__("info urt", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        on = running()
        for c in coroutines():
            state = reason(c)
            if state == "free":
                continue
            if int(c.address) in on:
                state = "running on worker %d" % on[int(c.address)]
            print("%8d  %-24s %s" % (int(c["id"]), state, function(c)))


class Urt(gdb.Command):
    """urt bt ID: the backtrace of a coroutine; urt all: of all parked ones."""

    def __init__(self):
        super().__init__("urt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if words == ["all"]:
            for c in coroutines():
                if is_parked(c):
                    print("coroutine %d [%s]" % (int(c["id"]), reason(c)))
                    backtrace(c)
            return
        if len(words) != 2 or words[0] != "bt" or not words[1].isdigit():
            raise gdb.GdbError("usage: urt bt ID, or urt all (info urt lists)")
        for c in coroutines():
            if int(c["id"]) != int(words[1]) or reason(c) == "free":
                continue
            if not is_parked(c):
                raise gdb.GdbError("coroutine %s is %s: it has no saved "
                                   "registers; see its worker's thread"
                                   % (words[1], reason(c)))
            return backtrace(c)
        raise gdb.GdbError("no such coroutine: " + words[1])


InfoUrt()
Urt()
