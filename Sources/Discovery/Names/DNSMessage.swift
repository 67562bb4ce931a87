import Addressing

/// Questions to name servers and what their answers say (RFC 1035). Pure; nothing in an answer is
/// believed that was not asked for.
package struct DNSQuestion: Equatable, Sendable {
    /// The kinds of addresses.
    package enum Kind: UInt16, Sendable, CaseIterable {
        case ipv4 = 1
        case ipv6 = 28
    }

    /// What an answer says.
    package enum Answer: Equatable, Sendable {
        /// It is no answer to this question; the right one may still come.
        case foreign
        /// It did not fit into a datagram: the question is to be asked over TCP.
        case truncated
        /// It answers the question, but does not repeat the name's letters as they were written.
        case altered
        /// The name stands for another, of which nothing is said: that is to be asked for.
        case alias([UInt8], seconds: UInt32)
        /// Addresses, and for how many seconds they hold; none: the name has none of this kind.
        case addresses([IPAddress], seconds: UInt32)
        /// The server could not say.
        case failure(code: UInt8)
    }

    private enum Record {
        static let alias: UInt16 = 5
        static let authority: UInt16 = 6
        static let options: UInt16 = 41
        static let internet: UInt16 = 1
    }

    /// Bytes of the header.
    private static let headByteCount = 12
    /// Records of an answer that are looked at; with more the answer is foreign.
    static let recordMax = 256
    /// Names an alias may lead through.
    static let aliasMax = 8
    /// Seconds for which it is believed that a name is not there, where the answer does not say.
    private static let absenceSeconds: UInt32 = 30

    /// Random, to tell the answer from a forged one (RFC 5452).
    package let identifier: UInt16
    /// What is asked for.
    package let kind: Kind
    /// The name in lower case, as labels.
    let name: [UInt8]
    /// The name as it is sent: some letters in upper case, at random. Servers repeat them, forgers
    /// have to guess them.
    private let written: [UInt8]
    /// Whether the message says how long an answer may be; servers of old refuse such.
    package var hasOptions = true

    /// Makes a question; `nil` for what is no host name.
    ///
    /// - Parameter mixing: which letters are sent in upper case, by bits.
    package init?(
        _ name: String,
        _ kind: Kind,
        identifier: UInt16 = .random(in: 0...UInt16.max),
        mixing: UInt64 = 0
    ) {
        guard let wire = Self.wire(name) else { return nil }
        self.init(wire: wire, kind, identifier, mixing: mixing)
    }

    /// Makes a question of a name in lower case, as labels.
    init(
        wire: [UInt8],
        _ kind: Kind,
        _ identifier: UInt16 = .random(in: 0...UInt16.max),
        mixing: UInt64 = 0
    ) {
        name = wire
        written = Self.mixed(wire, mixing)
        self.kind = kind
        self.identifier = identifier
    }

    /// A host name as labels, in lower case; `nil` for what is none.
    static func wire(_ name: String) -> [UInt8]? {
        let text = name.hasSuffix(".") ? String(name.dropLast()) : name
        guard HostName.isValid(text), !text.hasPrefix("*") else { return nil }
        var wire: [UInt8] = []
        for label in text.lowercased().split(separator: ".") {
            wire.append(UInt8(label.utf8.count))
            wire += label.utf8
        }
        return wire + [0]
    }

    /// Lengths of labels are below the letters.
    private static func mixed(_ wire: [UInt8], _ bits: UInt64) -> [UInt8] {
        wire.indices.map { index in
            let isUpper = bits >> UInt64(index & 63) & 1 != 0
            let isLetter = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(wire[index])
            return isUpper && isLetter ? wire[index] & ~0x20 : wire[index]
        }
    }

    /// The message to send: recursion desired, answers of up to 1,232 bytes (RFC 6891).
    package var bytes: [UInt8] {
        let count: UInt8 = hasOptions ? 1 : 0
        var message = Self.wide(identifier) + [1, 0, 0, 1, 0, 0, 0, 0, 0, count]
        message += written + Self.wide(kind.rawValue) + Self.wide(Record.internet)
        guard hasOptions else { return message }
        return message + [0] + Self.wide(Record.options) + Self.wide(1_232) + [0, 0, 0, 0, 0, 0]
    }

    /// Whether a failure says that the server did not understand the message (FORMERR, NOTIMP).
    static func isMisunderstanding(_ code: UInt8) -> Bool { code == 1 || code == 4 }

    private static func wide(_ number: UInt16) -> [UInt8] {
        [UInt8(number >> 8), UInt8(number & 255)]
    }

    // MARK: Answers

    /// Reads a message.
    ///
    /// - Parameter ignoringCase: whether the name may be repeated in any case.
    package func answer(in message: [UInt8], ignoringCase: Bool = false) -> Answer {
        var reader = Reader(message)
        guard message.count >= Self.headByteCount, reader.wide() == identifier,
            let flags = reader.wide(), flags & 0x8000 != 0, flags & 0x7800 == 0,
            reader.wide() == 1, let answerCount = reader.wide(),
            let authorityCount = reader.wide(), reader.wide() != nil,
            let repeated = reader.name(keepsCase: true), repeated.map(Reader.lowered) == name,
            reader.wide() == kind.rawValue, reader.wide() == Record.internet
        else { return .foreign }
        guard ignoringCase || repeated == written else { return .altered }
        let code = UInt8(flags & 15)
        guard code == 0 || code == 3 else { return .failure(code: code) }
        if flags & 0x0200 != 0 { return .truncated }
        guard Int(answerCount) + Int(authorityCount) <= Self.recordMax else { return .foreign }
        return records(&reader, Int(answerCount), Int(authorityCount), isAbsent: code == 3)
    }

    private struct Found {
        var addresses: [(owner: [UInt8], ip: IPAddress, seconds: UInt32)] = []
        var aliases: [[UInt8]: (target: [UInt8], seconds: UInt32)] = [:]
        var absenceSeconds: UInt32?
        /// Whether the server says that there is no such name.
        var isAbsent: Bool
    }

    private func records(
        _ reader: inout Reader,
        _ answers: Int,
        _ authorities: Int,
        isAbsent: Bool
    ) -> Answer {
        var found = Found(isAbsent: isAbsent)
        for index in 0..<(answers + authorities) {
            guard let owner = reader.name(), let type = reader.wide(), let group = reader.wide(),
                let seconds = reader.long(), let byteCount = reader.wide(),
                let data = reader.data(Int(byteCount))
            else { return .foreign }
            guard group == Record.internet else { continue }
            // A negative time to live is none (RFC 2181 section 8).
            let time = seconds > UInt32(Int32.max) ? 0 : seconds
            if index >= answers {
                guard type == Record.authority, data.count >= 20 else { continue }
                var rest = Reader(Array(reader.bytes[data.suffix(4)]))
                found.absenceSeconds = min(time, rest.long() ?? 0)
            } else if type == Record.alias {
                var target = Reader(reader.bytes, at: data.lowerBound)
                guard let name = target.name() else { return .foreign }
                found.aliases[owner] = (name, time)
            } else if type == kind.rawValue, let ip = Self.address(reader.bytes[data]) {
                found.addresses.append((owner, ip, time))
            }
        }
        return conclude(found)
    }

    /// Follows aliases from the name asked for; records of other names are passed over.
    private func conclude(_ found: Found) -> Answer {
        var owner = name
        var seconds = UInt32.max
        for _ in 0...Self.aliasMax {
            let own = found.addresses.filter { $0.owner == owner }
            if !own.isEmpty {
                let least = own.map(\.seconds).min() ?? 0
                return .addresses(own.map(\.ip), seconds: min(seconds, least))
            }
            guard let alias = found.aliases[owner] else {
                if owner != name && !found.isAbsent && found.absenceSeconds == nil {
                    return .alias(owner, seconds: seconds)
                }
                let absence = found.absenceSeconds ?? Self.absenceSeconds
                return .addresses([], seconds: min(seconds, absence))
            }
            seconds = min(seconds, alias.seconds)
            owner = alias.target
        }
        return .failure(code: 2)
    }

    private static func address(_ bytes: ArraySlice<UInt8>) -> IPAddress? {
        let word = { (part: ArraySlice<UInt8>) in part.reduce(UInt64(0)) { $0 << 8 | UInt64($1) } }
        switch bytes.count {
        case 4: return IPAddress(v4: UInt32(truncatingIfNeeded: word(bytes)))
        case 16: return IPAddress(high: word(bytes.prefix(8)), low: word(bytes.suffix(8)))
        default: return nil
        }
    }

    /// Reads a message from its beginning; every read is `nil` past its end.
    private struct Reader {
        let bytes: [UInt8]
        var position = 0

        init(_ bytes: [UInt8], at position: Int = 0) {
            self.bytes = bytes
            self.position = position
        }

        mutating func wide() -> UInt16? {
            guard position + 2 <= bytes.count else { return nil }
            defer { position += 2 }
            return UInt16(bytes[position]) << 8 | UInt16(bytes[position + 1])
        }

        mutating func long() -> UInt32? {
            guard let high = wide(), let low = wide() else { return nil }
            return UInt32(high) << 16 | UInt32(low)
        }

        mutating func data(_ count: Int) -> Range<Int>? {
            guard position + count <= bytes.count else { return nil }
            defer { position += count }
            return position..<position + count
        }

        /// A name in lower case and without compression. Each pointer leads further to the front
        /// than the one before, so that none leads in a circle (RFC 1035 section 4.1.4).
        mutating func name(keepsCase: Bool = false) -> [UInt8]? {
            var name: [UInt8] = []
            var at = position
            var end: Int?
            var front = position
            while at < bytes.count {
                let length = Int(bytes[at])
                switch length {
                case 0:
                    position = end ?? at + 1
                    return name + [0]
                case 1...63:
                    guard at + length < bytes.count, name.count + length < 254 else { return nil }
                    name.append(UInt8(length))
                    let label = bytes[(at + 1)...(at + length)]
                    name += keepsCase ? Array(label) : label.map(Self.lowered)
                    at += length + 1
                case 0xc0...:
                    guard at + 1 < bytes.count else { return nil }
                    let target = (length & 0x3f) << 8 | Int(bytes[at + 1])
                    guard target < front else { return nil }
                    end = end ?? at + 2
                    front = target
                    at = target
                default: return nil
                }
            }
            return nil
        }

        static func lowered(_ byte: UInt8) -> UInt8 {
            (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains(byte) ? byte | 0x20 : byte
        }
    }
}
