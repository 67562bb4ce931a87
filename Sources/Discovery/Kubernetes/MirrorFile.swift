import MeshModel

/// The accepted objects of one kind as a file: a line that says whose they are and how many, with a
/// checksum, then every object as JSON with its length before it.
struct MirrorFile: Equatable, Sendable {
    /// Why a file is not used.
    struct Fault: Error, Equatable, Sendable {
        /// What was expected and what came.
        package let reason: String
    }

    private static let magic = "martlet-mirror-1"

    /// Whose objects they are: the API server's URL and the node.
    var owner: String
    /// The kind.
    var kind: ObjectKind
    /// The objects as JSON, in any order.
    var objects: [[UInt8]]

    /// Makes a file's content.
    init(owner: String, kind: ObjectKind, objects: [[UInt8]]) {
        self.owner = owner
        self.kind = kind
        self.objects = objects
    }

    /// The file's bytes.
    var bytes: [UInt8] {
        var body: [UInt8] = []
        for object in objects {
            body += Array("\(object.count)\n".utf8)
            body += object
            body.append(UInt8(ascii: "\n"))
        }
        let sum = String(MirrorFile.checksum(body), radix: 16)
        let head = "\(MirrorFile.magic) \(kind.rawValue) \(objects.count) \(sum) \(owner)\n"
        return Array(head.utf8) + body
    }

    /// Reads a file's bytes. Nothing of a file that is not whole is used.
    init(reading bytes: [UInt8], owner: String, kind: ObjectKind) throws(Fault) {
        guard let lineEnd = bytes.firstIndex(of: UInt8(ascii: "\n")) else {
            throw Fault(reason: "expected a mirror of objects, found no first line")
        }
        let line = String(decoding: bytes[..<lineEnd], as: UTF8.self)
        let words = line.split(separator: " ", maxSplits: 4).map(String.init)
        guard words.count == 5, words[0] == MirrorFile.magic else {
            throw Fault(reason: "expected a mirror of objects, found another first line")
        }
        guard words[1] == kind.rawValue, words[4] == owner else {
            throw Fault(reason: "expected objects of \(owner), found those of \(words[4])")
        }
        let body = bytes[(lineEnd + 1)...]
        guard UInt64(words[3], radix: 16) == MirrorFile.checksum(body) else {
            throw Fault(reason: "the checksum does not fit: the file is cut off or changed")
        }
        var objects: [[UInt8]] = []
        var rest = body
        while !rest.isEmpty {
            guard let end = rest.firstIndex(of: UInt8(ascii: "\n")),
                let count = Int(String(decoding: rest[..<end], as: UTF8.self)),
                count >= 0, count < rest.endIndex - end - 1
            else { throw Fault(reason: "expected the length of an object") }
            let start = end + 1
            objects.append(Array(rest[start..<(start + count)]))
            rest = rest[(start + count + 1)...]
        }
        guard String(objects.count) == words[2] else {
            throw Fault(reason: "expected \(words[2]) objects, found \(objects.count)")
        }
        self.init(owner: owner, kind: kind, objects: objects)
    }

    /// FNV-1a of 64 bits: against cut-off and damaged files, not against forgers, who would need to
    /// be root.
    private static func checksum(_ bytes: some Sequence<UInt8>) -> UInt64 {
        bytes.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
    }
}
