import MeshModel

/// The metadata of an object that Martlet uses.
package struct ObjectMeta: Equatable, Sendable {
    /// The name.
    package var name = ""
    /// The namespace; empty for cluster-scoped kinds.
    package var namespace = ""
    /// The UID.
    package var uid = ""
    /// The generation, 0 where there is none.
    package var generation: Int64 = 0
    /// The resource version.
    package var resourceVersion = ""
    /// Seconds since 1970; 0 where unknown.
    package var createdAt: Int64 = 0
    /// Labels.
    package var labels: [String: String] = [:]
    /// Annotations.
    package var annotations: [String: String] = [:]

    /// Makes empty metadata.
    package init() {}

    init(_ reader: inout FieldReader, isClusterScoped: Bool) {
        name = reader.requiredString("name")
        namespace = reader.string("namespace") ?? ""
        if !isClusterScoped && namespace.isEmpty { namespace = "default" }
        if isClusterScoped { namespace = "" }
        uid = reader.string("uid") ?? ""
        resourceVersion = reader.string("resourceVersion") ?? ""
        generation = reader.integer("generation", 0...Int64.max) ?? 0
        labels = reader.stringMap("labels")
        annotations = reader.stringMap("annotations")
        createdAt = reader.string("creationTimestamp").flatMap(Timestamp.seconds) ?? 0
    }
}

/// RFC 3339 times as Kubernetes writes them.
enum Timestamp {
    /// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SSZ`; fractions are dropped.
    static func seconds(_ text: String) -> Int64? {
        let bytes = Array(text.utf8)
        guard bytes.count >= 20, bytes[10] == UInt8(ascii: "T"), bytes.last == UInt8(ascii: "Z")
        else { return nil }
        func number(_ range: Range<Int>) -> Int64? {
            Int64(String(decoding: bytes[range], as: UTF8.self))
        }
        guard let year = number(0..<4), let month = number(5..<7), let day = number(8..<10),
            let hour = number(11..<13), let minute = number(14..<16), let second = number(17..<19),
            (1...12).contains(month)
        else { return nil }
        return days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
    }

    /// Days since 1970 of a civil date (H. Hinnant's algorithm).
    private static func days(_ year: Int64, _ month: Int64, _ day: Int64) -> Int64 {
        let shifted = month <= 2 ? year - 1 : year
        let era = (shifted >= 0 ? shifted : shifted - 399) / 400
        let yearOfEra = shifted - era * 400
        let monthIndex = month > 2 ? month - 3 : month + 9
        let dayOfYear = (153 * monthIndex + 2) / 5 + day - 1
        let dayOfEra = yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear
        return era * 146_097 + dayOfEra - 719_468
    }
}
