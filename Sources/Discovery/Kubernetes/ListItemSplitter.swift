/// Cuts a list response into its items as the bytes come, so that the most that is held is one
/// object, not one list. It pairs brackets and strings and leaves all else to the decoder.
package struct ListItemSplitter: Sendable {
    /// An item is at most an etcd object (1.5 MiB); 4 MiB as for watch lines.
    package static let itemByteLimit = WatchLineSplitter.lineByteLimit
    /// All of the list but its items: kind, versions, the continue token.
    package static let envelopeByteLimit = 262_144

    /// Why a list cannot be read.
    package enum Fault: Error, Equatable, Sendable {
        case itemTooLong(byteLimit: Int)
        case envelopeTooLong(byteLimit: Int)
        /// The response is not one JSON object.
        case notAnObject
        /// The response ended within it.
        case truncated
    }

    private enum Place: Sendable {
        /// Outside any item.
        case envelope
        /// Between items.
        case items
        /// Within an item.
        case item
        /// After the object.
        case end
    }

    private var place = Place.envelope
    private var depth = 0
    private var isInString = false
    private var isEscaped = false
    private var keyStart = -1
    private var lastKeyIsItems = false
    private var item: [UInt8] = []
    private var envelope: [UInt8] = []

    /// Makes a splitter at the start of a response.
    package init() {}

    /// Takes the next bytes and returns the items that end in them, as JSON.
    package mutating func append(_ bytes: [UInt8]) throws(Fault) -> [[UInt8]] {
        var found: [[UInt8]] = []
        for byte in bytes {
            switch place {
            case .envelope: try takeEnvelope(byte)
            case .items: takeBetween(byte)
            case .item:
                guard item.count < ListItemSplitter.itemByteLimit else {
                    DiscoveryLimits.listItem.reached()
                    throw .itemTooLong(byteLimit: ListItemSplitter.itemByteLimit)
                }
                item.append(byte)
                if nests(byte) && depth == 2 {
                    found.append(item)
                    item.removeAll(keepingCapacity: true)
                    place = .items
                }
            case .end: continue
            }
        }
        return found
    }

    /// The list without its items, once the response has ended.
    package func finish() throws(Fault) -> [UInt8] {
        guard place == .end else { throw .truncated }
        return envelope
    }

    /// Follows strings and brackets.
    ///
    /// - Returns: whether the byte closed a bracket.
    private mutating func nests(_ byte: UInt8) -> Bool {
        if isInString {
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInString = false
            }
            return false
        }
        switch byte {
        case UInt8(ascii: "\""): isInString = true
        case UInt8(ascii: "{"), UInt8(ascii: "["): depth += 1
        case UInt8(ascii: "}"), UInt8(ascii: "]"):
            depth -= 1
            return true
        default: break
        }
        return false
    }

    private mutating func takeEnvelope(_ byte: UInt8) throws(Fault) {
        if depth == 0 {
            guard byte != UInt8(ascii: "{") else {
                envelope.append(byte)
                depth = 1
                return
            }
            guard ListItemSplitter.isBlank(byte) else { throw .notAnObject }
            return
        }
        guard envelope.count < ListItemSplitter.envelopeByteLimit else {
            DiscoveryLimits.listEnvelope.reached()
            throw .envelopeTooLong(byteLimit: ListItemSplitter.envelopeByteLimit)
        }
        envelope.append(byte)
        let wasInString = isInString
        let closes = nests(byte)
        if closes && depth == 0 {
            place = .end
        } else if depth == 1 && isInString && !wasInString {
            keyStart = envelope.count
        } else if depth == 1 && wasInString && !isInString {
            lastKeyIsItems = envelope[keyStart..<(envelope.count - 1)].elementsEqual("items".utf8)
        } else if depth == 2 && !closes && byte == UInt8(ascii: "[") && lastKeyIsItems {
            place = .items
        } else if byte == UInt8(ascii: ",") && depth == 1 {
            lastKeyIsItems = false
        }
    }

    private mutating func takeBetween(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "]"):
            depth -= 1
            envelope.append(byte)
            lastKeyIsItems = false
            place = .envelope
        case UInt8(ascii: "{"):
            depth += 1
            item.append(byte)
            place = .item
        default: break
        }
    }

    private static func isBlank(_ byte: UInt8) -> Bool {
        byte == 0x20 || byte == 0x09 || byte == 0x0a || byte == 0x0d
    }
}
