/// Reads the text of an access log's format: text, `%%`, and operators between percent signs.
struct LogFormatCompiler {
    private let bytes: [UInt8]
    private var at = 0
    private(set) var pieces: [LogFormat.Piece] = []
    private(set) var text: [UInt8] = []
    private(set) var responseNames: [LogFormat.Name] = []
    private(set) var wantsRequestEnd = false

    init(_ source: String) { bytes = Array(source.utf8) }

    mutating func compile() throws(LogFormatFault) {
        guard !bytes.isEmpty else { throw fault("text with operators", "nothing", 0) }
        while at < bytes.count {
            guard bytes[at] == UInt8(ascii: "%") else {
                addText(bytes[at])
                at += 1
                continue
            }
            at += 1
            if peek == UInt8(ascii: "%") {
                addText(UInt8(ascii: "%"))
                at += 1
            } else {
                try readOperator()
            }
            guard pieces.count <= LogFormat.pieceMax else {
                throw fault("up to \(LogFormat.pieceMax) pieces", "more", at)
            }
        }
        if bytes.last != UInt8(ascii: "\n") { addText(UInt8(ascii: "\n")) }
    }

    private var peek: UInt8? { at < bytes.count ? bytes[at] : nil }

    private func fault(_ expected: String, _ found: String, _ position: Int) -> LogFormatFault {
        LogFormatFault(reason: "expected \(expected), found \(found) at byte \(position)")
    }

    private mutating func addText(_ byte: UInt8) {
        if case .text(var range) = pieces.last, Int(range.start + range.byteCount) == text.count {
            range.byteCount += 1
            pieces[pieces.count - 1] = .text(range)
        } else {
            pieces.append(.text(TextRange(start: Int32(text.count), byteCount: 1)))
        }
        text.append(byte)
    }

    // MARK: Operators

    private mutating func readOperator() throws(LogFormatFault) {
        let start = at - 1
        let name = word { (65...90).contains($0) || (48...57).contains($0) || $0 == 95 }
        var argument: String?
        if peek == UInt8(ascii: "(") {
            at += 1
            argument = word { $0 != UInt8(ascii: ")") }
            guard peek == UInt8(ascii: ")") else { throw fault(")", "the end", bytes.count) }
            at += 1
        }
        var byteLimit: Int?
        if peek == UInt8(ascii: ":") {
            at += 1
            let digits = word { (48...57).contains($0) }
            guard let limit = Int(digits), limit > 0 else {
                throw fault("a length above 0 after :", "\"\(digits)\"", at)
            }
            byteLimit = limit
        }
        guard peek == UInt8(ascii: "%") else {
            throw fault("% after \(name)", peek == nil ? "the end" : "another character", at)
        }
        at += 1
        try add(name, argument, byteLimit, start)
    }

    private mutating func word(_ isPart: (UInt8) -> Bool) -> String {
        let start = at
        while let byte = peek, isPart(byte) { at += 1 }
        return String(decoding: bytes[start..<at], as: UTF8.self)
    }

    private mutating func add(
        _ name: String,
        _ argument: String?,
        _ byteLimit: Int?,
        _ start: Int
    ) throws(LogFormatFault) {
        switch name {
        case "REQ": pieces.append(.request(try lookup(name, argument, byteLimit, start)))
        case "RESP":
            var lookup = try lookup(name, argument, byteLimit, start)
            try keep(&lookup.first, start)
            try keep(&lookup.second, start)
            pieces.append(.response(lookup))
        case "TRAILER": pieces.append(.trailer(try lookup(name, argument, byteLimit, start)))
        case "START_TIME":
            try refuse(byteLimit, name, start)
            try addTime(argument, start)
        case "GRPC_STATUS":
            try refuse(byteLimit, name, start)
            guard let style = LogFormat.StatusStyle(rawValue: argument ?? "CAMEL_STRING") else {
                let names = LogFormat.StatusStyle.allCases.map(\.rawValue)
                throw fault(
                    "one of \(names.joined(separator: ", "))",
                    "\"\(argument ?? "")\"",
                    start
                )
            }
            pieces.append(.grpcStatus(style))
        default:
            guard let value = LogFormat.Value(rawValue: name) else {
                throw fault("an operator such as %PROTOCOL%", "%\(name)%", start)
            }
            try refuse(byteLimit, name, start)
            guard argument == nil else {
                throw fault("%\(name)% without an argument", "(\(argument ?? ""))", start)
            }
            if value == .requestDuration { wantsRequestEnd = true }
            pieces.append(.value(value))
        }
    }

    private func refuse(_ limit: Int?, _ name: String, _ start: Int) throws(LogFormatFault) {
        if let limit { throw fault("%\(name)% without a length", ":\(limit)", start) }
    }

    // MARK: Headers

    private mutating func lookup(
        _ operation: String,
        _ argument: String?,
        _ byteLimit: Int?,
        _ start: Int
    ) throws(LogFormatFault) -> LogFormat.Lookup {
        let names = (argument ?? "").split(separator: "?", omittingEmptySubsequences: false)
        guard (1...2).contains(names.count), names.allSatisfy({ !$0.isEmpty }) else {
            throw fault(
                "\(operation)(NAME) or \(operation)(NAME?OTHER)",
                "(\(argument ?? ""))",
                start
            )
        }
        var lookup = LogFormat.Lookup()
        lookup.byteLimit = min(byteLimit ?? AccessLog.textByteLimit, AccessLog.textByteLimit)
        lookup.first = try self.name(names[0], isRequest: operation == "REQ", start)
        if names.count == 2 {
            lookup.second = try self.name(names[1], isRequest: operation == "REQ", start)
        }
        return lookup
    }

    private mutating func name(
        _ text: Substring,
        isRequest: Bool,
        _ start: Int
    ) throws(LogFormatFault) -> LogFormat.Name {
        let lower = text.lowercased()
        if isRequest && lower.hasPrefix(":") {
            switch lower {
            case ":method": return LogFormat.Name(kind: .method)
            case ":path": return LogFormat.Name(kind: .path)
            case ":authority": return LogFormat.Name(kind: .authority)
            case ":scheme": return LogFormat.Name(kind: .scheme)
            default: break
            }
        }
        let isToken = lower.utf8.allSatisfy {
            (97...122).contains($0) || (48...57).contains($0) || $0 == 45 || $0 == 95 || $0 == 46
        }
        guard isToken else { throw fault("a header's name", "\"\(text)\"", start) }
        let bytes = Array(lower.utf8)
        let range = TextRange(start: Int32(self.text.count), byteCount: Int32(bytes.count))
        self.text += bytes
        let id = bytes.withRawSpan { HeaderID.identify($0, offset: 0, count: $0.byteCount) }
        return LogFormat.Name(kind: .field, id: id, text: range)
    }

    /// Notes that a response header is wanted when the line is written.
    private mutating func keep(_ name: inout LogFormat.Name, _ start: Int) throws(LogFormatFault) {
        guard name.kind == .field else { return }
        let wanted = bytes(of: name)
        if let known = responseNames.firstIndex(where: { bytes(of: $0) == wanted }) {
            name.kept = Int32(known)
            return
        }
        guard responseNames.count < LogFormat.responseNameMax else {
            throw fault("up to \(LogFormat.responseNameMax) response headers", "more", start)
        }
        name.kept = Int32(responseNames.count)
        responseNames.append(name)
    }

    private func bytes(of name: LogFormat.Name) -> ArraySlice<UInt8> { text[name.text.range] }

    // MARK: Time

    /// `strftime(3)` conversions that a log needs, and Envoy's `%f`, `%3f`.
    private mutating func addTime(_ argument: String?, _ start: Int) throws(LogFormatFault) {
        guard let argument else {
            pieces.append(.time(.whole))
            return
        }
        var rest = Array(argument.utf8)[...]
        while let byte = rest.popFirst() {
            guard byte == UInt8(ascii: "%") else {
                addText(byte)
                continue
            }
            guard let letter = rest.popFirst() else {
                throw fault("a conversion after %", "the end of (\(argument))", start)
            }
            if letter == UInt8(ascii: "%") {
                addText(letter)
            } else if (49...57).contains(letter), rest.first == UInt8(ascii: "f") {
                rest.removeFirst()
                pieces.append(.time(.fraction(Int(letter) - 48)))
            } else if let part = LogFormatCompiler.part(letter) {
                pieces.append(.time(part))
            } else {
                let found = String(decoding: [letter], as: UTF8.self)
                throw fault("one of %Y %m %b %d %H %M %S %F %T %s %f %3f %Z %z", "%\(found)", start)
            }
        }
    }

    private static func part(_ letter: UInt8) -> LogFormat.TimePart? {
        switch letter {
        case UInt8(ascii: "Y"): .year
        case UInt8(ascii: "m"): .month
        case UInt8(ascii: "b"): .monthName
        case UInt8(ascii: "d"): .day
        case UInt8(ascii: "H"): .hour
        case UInt8(ascii: "M"): .minute
        case UInt8(ascii: "S"): .second
        case UInt8(ascii: "F"): .date
        case UInt8(ascii: "T"): .timeOfDay
        case UInt8(ascii: "s"): .epoch
        case UInt8(ascii: "f"): .fraction(9)
        case UInt8(ascii: "Z"): .zoneName
        case UInt8(ascii: "z"): .zoneOffset
        default: nil
        }
    }
}
