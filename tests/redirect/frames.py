"""Frames, and what must come of them, made by scapy: nothing here shares code with Gate25.

Prints a step a line: DIRECTION CODE FRAME EXPECTED NOTE. The steps of one run follow each other on the same tables.
The policy they are about is POLICY in main.rs.
"""
import random
import struct

from scapy.all import (
    ICMP, IP, TCP, Dot1Q, Ether, ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6PacketTooBig, ICMPv6ParamProblem,
    ICMPv6TimeExceeded, IPv6, IPv6ExtHdrDestOpt, IPv6ExtHdrHopByHop, IPv6ExtHdrRouting, PadN, Raw, raw,
)
from scapy.layers.inet import IPOption_NOP, IPOption_RR

random.seed(25)
SUBSCRIBER, ROUTER = "02:00:00:00:00:10", "02:00:00:00:00:01"
NOTICE = {4: ("192.0.2.26", 2525), 6: ("2001:db8:26::1", 2526)}
RELAY = {4: ("192.0.2.25", 25), 6: ("2001:db8:25::25", 587)}
# What a test-run calls itself.
GATEWAY = {4: "192.0.0.8", 6: "100::1"}
REMOTES = {4: "198.51.100.77", 6: "2001:db8:bad::25"}
SENDERS = {
    "notice": {4: "203.0.113.10", 6: "2001:db8:100::10"},
    "relay": {4: "203.0.113.80", 6: "2001:db8:101::10"},
    "reset": {4: "203.0.113.140", 6: "2001:db8:102::10"},
    "icmp": {4: "203.0.113.200", 6: "2001:db8:103::10"},
}


def ethernet(to, source, kind, rest):
    return bytes.fromhex((to + source).replace(":", "")) + struct.pack("!H", kind) + rest


def tags(*kinds):
    """Tags in front of an EtherType: the outer type, and what stands behind it."""
    def link(kind, packet):
        rest = packet
        for tag in reversed(kinds):
            rest = struct.pack("!HH", random.randrange(1 << 16), kind) + rest
            kind = tag
        return kind, rest
    return link


def pppoe(kind, packet, short=False):
    protocol = {0x0800: b"\x21", 0x86DD: b"\x57"}[kind]
    if not short:
        protocol = b"\0" + protocol
    payload = protocol + packet
    return 0x8864, struct.pack("!BBHH", 0x11, 0, 0x1234, len(payload)) + payload


def over(tagging, inner):
    return lambda kind, packet: tagging(*inner(kind, packet))


LINKS = {
    "plain": lambda kind, packet: (kind, packet),
    "802.1Q": tags(0x8100),
    "QinQ": tags(0x88A8, 0x8100),
    "old QinQ": tags(0x9100, 0x8100),
    "four tags": tags(0x88A8, 0x8100, 0x9100, 0x8100),
    "PPPoE": pppoe,
    "PPPoE, short protocol": lambda kind, packet: pppoe(kind, packet, short=True),
    "QinQ and PPPoE": over(tags(0x88A8, 0x8100), pppoe),
    "four tags and short PPPoE": over(
        tags(0x88A8, 0x8100, 0x8100, 0x9100), lambda kind, packet: pppoe(kind, packet, short=True)
    ),
}


def ip(family, source, destination, shape, hops=60):
    if family == 4:
        options = [IPOption_NOP(), IPOption_RR(pointer=4, routers=["0.0.0.0"] * 2)] if shape else []
        return IP(src=source, dst=destination, ttl=hops, id=0x1234, flags="DF", tos=0x28, options=options)
    packet = IPv6(src=source, dst=destination, hlim=hops, tc=0x28, fl=0x12345)
    if shape:
        packet = packet / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0\0\0\0")])
        packet = packet / IPv6ExtHdrDestOpt(options=[PadN(optdata=b"\0" * 12)])
    return packet


def finished(packet):
    """The packet's octets, with every length and checksum worked out from nothing."""
    return raw(packet.__class__(raw(packet)))


LINK_SEED = 0


def framed(link, packet, toward=False):
    """In a frame of that link; two frames with the same LINK_SEED have the same tags."""
    random.seed(LINK_SEED)
    octets = packet if isinstance(packet, bytes) else finished(packet)
    kind, rest = LINKS[link](0x0800 if octets[0] >> 4 == 4 else 0x86DD, octets)
    to, source = (SUBSCRIBER, ROUTER) if toward else (ROUTER, SUBSCRIBER)
    return ethernet(to, source, kind, rest)


def step(direction, code, frame, expected, note):
    print(direction, code, frame.hex(), expected.hex() if expected else "-", note)


OPENING = [("MSS", 1460), ("SAckOK", b""), ("Timestamp", (123456, 0)), ("NOP", None), ("WScale", 7)]
LATER = [("NOP", None), ("NOP", None), ("Timestamp", (123999, 7))]


def conversation(zone, target, family, link, shape, port):
    """A connection from its SYN to its end."""
    subscriber, remote = SENDERS[zone][family], REMOTES[family]
    address, target_port = target[family]
    note = f"{zone}, IPv{family}, {link}, {'options' if shape else 'bare'}, port {port}: "

    def forth(flags, seq, ack, options, payload, what):
        frame, expected = (
            framed(link, ip(family, subscriber, to, shape)
                   / TCP(sport=port, dport=dport, flags=flags, seq=seq, ack=ack, options=options, window=501)
                   / Raw(payload))
            for to, dport in ((remote, 25), (address, target_port))
        )
        step("egress", "pass", frame, expected, note + what)

    def back(flags, seq, ack, options, payload, what):
        frame, expected = (
            framed(link, ip(family, source, subscriber, shape, hops=62)
                   / TCP(sport=sport, dport=port, flags=flags, seq=seq, ack=ack, options=options, window=502)
                   / Raw(payload), toward=True)
            for source, sport in ((address, target_port), (remote, 25))
        )
        step("return", "pass", frame, expected, note + what)

    forth("SEC", 1000, 0, OPENING, b"", "SYN")
    forth("SEC", 1000, 0, OPENING, b"", "SYN again")
    back("SAE", 0xFFFFFFFF, 1001, OPENING, b"", "SYN-ACK")
    forth("A", 1001, 0, LATER, b"", "ACK")
    back("PA", 0, 1001, LATER, b"554-odd length\r\n.", "data, an odd number of octets")
    forth("PA", 1001, 17, LATER, b"EHLO me\r\n" * 3, "data")
    forth("A", 1028, 17, [], b"\xff" * 1399, "much data")
    back("A", 17, 2427, [], b"\0" * 1400, "much data")
    back("FA", 1417, 2427, LATER, b"", "FIN")
    forth("FA", 2427, 1418, LATER, b"", "FIN")
    back("A", 1418, 2428, LATER, b"", "last ACK")
    forth("R", 2428, 0, [], b"", "RST")
    # Of what is over, nothing is left to be reset: it may be another connection's.
    frame = framed(link, ip(family, address, subscriber, shape, hops=62)
                   / TCP(sport=target_port, dport=port, flags="R", seq=1418), toward=True)
    step("return", "pass", frame, frame, note + "RST of what is over")


def answers(zone, family, link, shape, port):
    """What the gate says itself, to a SYN and to data."""
    subscriber, remote = SENDERS[zone][family], REMOTES[family]
    note = f"{zone}, IPv{family}, {link}, {'options' if shape else 'bare'}: "
    for flags, payload in (("S", b""), ("PA", b"x"), ("PA", b"y" * 1301)):
        packet = finished(ip(family, subscriber, remote, shape)
                          / TCP(sport=port, dport=25, flags=flags, seq=0xFFFFFFFF, ack=77, options=LATER)
                          / Raw(payload))
        if zone == "reset":
            sequence = dict(seq=0, ack=0, flags="RA") if flags == "S" else dict(seq=77, ack=0, flags="R")
            segment = TCP(sport=25, dport=port, window=0, **sequence)
            header = (IP(src=remote, dst=subscriber, ttl=64, id=0, flags="DF") if family == 4
                      else IPv6(src=remote, dst=subscriber, hlim=64))
            answer = header / segment
        elif family == 4:
            answer = IP(src=GATEWAY[4], dst=subscriber, ttl=64, id=0, tos=0xC0) / ICMP(type=3, code=13) / packet[:548]
        else:
            answer = IPv6(src=GATEWAY[6], dst=subscriber, hlim=64) / ICMPv6DestUnreach(code=1) / packet[:1232]
        step("egress", "tx", framed(link, packet), framed(link, raw(answer), toward=True), note + f"{flags} {len(payload)}")


def errors(family, link, port):
    """ICMP errors about a connection to the notice responder, from a router and from the responder itself."""
    subscriber, remote = SENDERS["notice"][family], REMOTES[family]
    address, target_port = NOTICE[family]
    opening, redirected = (
        framed(link, ip(family, subscriber, to, False) / TCP(sport=port, dport=dport, flags="S", seq=5))
        for to, dport in ((remote, 25), (address, target_port))
    )
    step("egress", "pass", opening, redirected, f"IPv{family}, {link}: the connection that errors are about")
    router = {4: "192.0.2.254", 6: "2001:db8:ffff::1"}[family]
    kinds = {
        4: [ICMP(type=3, code=4, nexthopmtu=1300), ICMP(type=3, code=1), ICMP(type=11, code=0), ICMP(type=12, code=0)],
        6: [ICMPv6PacketTooBig(mtu=1300), ICMPv6DestUnreach(code=4), ICMPv6TimeExceeded(), ICMPv6ParamProblem()],
    }[family]
    shapes = (False, True) if family == 4 else (False,)
    for kind in kinds:
        for shape in shapes:
            for size in (8, 18, 20, 33, 600):
                for source in (router, address):
                    quotes = [
                        finished(ip(family, subscriber, to, shape, hops=57)
                                 / TCP(sport=port, dport=dport, flags="A", seq=5, options=[]) / Raw(b"q" * 580))
                        for to, dport in ((address, target_port), (remote, 25))
                    ]
                    cut = quotes[0].__len__() - 600 + size
                    seen = remote if source == address else source
                    frames = []
                    for speaker, quote in ((source, quotes[0]), (seen, quotes[1])):
                        outer = (IP(src=speaker, dst=subscriber, ttl=63, id=7) if family == 4
                                 else IPv6(src=speaker, dst=subscriber, hlim=63))
                        frames.append(framed(link, outer / kind / Raw(quote[:cut]), toward=True))
                    step("return", "pass", *frames, f"IPv{family}, {link}: {kind.summary()}, {size} octets of TCP, from {source}")
                    if size == 8:
                        # What is behind the packet is not the quote's.
                        step("return", "pass", *(frame + b"\xee" * 20 for frame in frames), f"IPv{family}, {link}: padded")
    # Of no redirected connection, and no error: as they were.
    outer = (lambda: IP(src=router, dst=subscriber, id=7)) if family == 4 else (lambda: IPv6(src=router, dst=subscriber))
    other = finished(ip(family, subscriber, address, False) / TCP(sport=port + 1, dport=target_port, flags="A"))
    another = finished(ip(family, subscriber, remote, False) / TCP(sport=port, dport=target_port, flags="A"))
    echo = ICMP(type=8) if family == 4 else ICMPv6EchoRequest()
    # Behind a later fragment's header there are no ports, whatever it looks like.
    piece = bytearray(finished(ip(family, subscriber, address, False) / TCP(sport=port, dport=target_port, flags="A")))
    if family == 4:
        piece[6:8] = b"\x00\x03"
    for what, packet in (
        ("another port", outer() / kinds[0] / Raw(other)),
        ("another address", outer() / kinds[0] / Raw(another)),
        ("an echo request", outer() / echo / Raw(other)),
        *([("a later fragment", outer() / kinds[0] / Raw(bytes(piece)))] if family == 4 else []),
    ):
        frame = framed(link, packet, toward=True)
        step("return", "pass", frame, frame, f"IPv{family}, {link}: {what}")


port = 20000
for family in (4, 6):
    for link in LINKS:
        for shape in (False, True):
            for zone, target in (("notice", NOTICE), ("relay", RELAY)):
                port, LINK_SEED = port + 1, LINK_SEED + 1
                conversation(zone, target, family, link, shape, port)
            for zone in ("reset", "icmp"):
                port, LINK_SEED = port + 1, LINK_SEED + 1
                answers(zone, family, link, shape, port)
        port, LINK_SEED = port + 2, LINK_SEED + 1
        errors(family, link, port)
