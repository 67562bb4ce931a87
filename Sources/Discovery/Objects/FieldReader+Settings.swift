import Addressing
import MeshModel

/// Fields of policies: each sets a value where it is there and leaves it as it is where it is not,
/// so that a more specific policy can be laid over a general one.
extension FieldReader {
    /// Durations that policies take: from a millisecond to a week.
    static let durations = Duration.milliseconds(1)...Duration.seconds(604_800)

    /// A boolean.
    mutating func take(_ key: String, into value: inout Bool) {
        if let read = bool(key) { value = read }
    }

    /// An integer of a range.
    mutating func take<Number: FixedWidthInteger>(
        _ key: String,
        into value: inout Number,
        _ range: ClosedRange<Int64>
    ) {
        if let read = integer(key, range) { value = Number(clamping: read) }
    }

    /// A duration of a range.
    mutating func take(
        _ key: String,
        into value: inout Duration,
        _ range: ClosedRange<Duration> = FieldReader.durations
    ) {
        if let read = duration(key, range) { value = read }
    }

    /// A duration of a range that otherwise is unset.
    mutating func take(
        _ key: String,
        into value: inout Duration?,
        _ range: ClosedRange<Duration> = FieldReader.durations
    ) {
        if let read = duration(key, range) { value = read }
    }

    /// A choice, written with a capital first letter.
    mutating func take<Choice>(_ key: String, into value: inout Choice)
    where Choice: RawRepresentable<String> & CaseIterable {
        if let read: Choice = choice(key) { value = read }
    }

    /// A list of strings, each of which must be valid.
    mutating func take(
        _ key: String,
        into value: inout [String],
        most: Int,
        expected: String,
        isValid: (String) -> Bool
    ) {
        guard has(key) else { return }
        let texts = strings(key)
        for text in texts where !isValid(text) {
            refuse(key, "expected \(expected), found \"\(text)\"")
        }
        if texts.count > most {
            refuse(key, "expected at most \(most) entries, found \(texts.count)")
        }
        value = texts
    }

    /// A list of addresses and prefixes.
    mutating func take(_ key: String, into value: inout [IPPrefix], most: Int) {
        var texts: [String] = []
        take(
            key,
            into: &texts,
            most: most,
            expected: "an address or prefix such as 192.0.2.0/24"
        ) { IPPrefix($0) != nil }
        if has(key) { value = texts.compactMap { IPPrefix($0) } }
    }

    /// A duration of a range; `nil` where there is none or it is refused.
    mutating func duration(
        _ key: String,
        _ range: ClosedRange<Duration> = FieldReader.durations
    ) -> Duration? {
        guard let text = string(key) else { return nil }
        guard let duration = GatewayDuration.parse(text), range.contains(duration) else {
            refuse(
                key,
                "expected a duration such as 500ms, of \(range.lowerBound) to"
                    + " \(range.upperBound), found \"\(text)\""
            )
            return nil
        }
        return duration
    }

    /// A choice, written with a capital first letter; `nil` where there is none or it is refused.
    mutating func choice<Choice>(_ key: String) -> Choice?
    where Choice: RawRepresentable<String> & CaseIterable {
        choice(key, among: Choice.allCases.map { (FieldReader.name(of: $0.rawValue), $0) })
    }

    /// One of several names; `nil` where there is none or it is refused.
    mutating func choice<Choice>(_ key: String, among choices: [(String, Choice)]) -> Choice? {
        guard let text = string(key) else { return nil }
        if let found = choices.first(where: { $0.0 == text }) { return found.1 }
        let names = choices.map(\.0).joined(separator: ", ")
        refuse(key, "expected one of \(names), found \"\(text)\"")
        return nil
    }

    /// One of several names that must be there.
    mutating func requiredChoice<Choice>(
        _ key: String,
        among choices: [(String, Choice)]
    ) -> Choice? {
        if !has(key) {
            let names = choices.map(\.0).joined(separator: ", ")
            refuse(key, "expected one of \(names), found nothing")
        }
        return choice(key, among: choices)
    }

    /// Refuses keys that have no meaning where others have the values they have.
    mutating func refuse(_ keys: [String], _ reason: String) {
        for key in keys where has(key) { refuse(key, reason) }
    }

    /// A field name as a policy writes it, in lower case.
    mutating func fieldName(_ key: String) -> String {
        let name = requiredString(key).lowercased()
        if !name.isEmpty && !RouteDecoder.isToken(name) {
            refuse(key, "expected a header name, found \"\(name)\"")
        }
        return name
    }

    /// How a policy writes a value of the model: `roundRobin` as `RoundRobin`.
    static func name(of rawValue: String) -> String {
        rawValue.prefix(1).uppercased() + rawValue.dropFirst()
    }

    /// References to objects with CA certificates.
    mutating func references(_ key: String, most: Int, namespaced: Bool) -> [ObjectReference] {
        let found = readers(key).map { reference in
            var reference = reference
            defer { reference.refuseUnknown() }
            return ObjectReference(
                group: reference.string("group") ?? "",
                kind: reference.string("kind") ?? "ConfigMap",
                name: reference.requiredString("name"),
                namespace: namespaced ? reference.string("namespace") : nil
            )
        }
        if found.count > most {
            refuse(key, "expected at most \(most) references, found \(found.count)")
        }
        return found
    }
}
