import Addressing
import Testing

@testable import Discovery

/// What is believed of name servers' answers, hostile ones included.
@Suite struct DNSQuestionTests {
    /// Builds a message, with names as labels or pointers.
    struct Message {
        var bytes: [UInt8]

        init(
            identifier: UInt16 = 7,
            flags: UInt16 = 0x8180,
            question: String = "a.example",
            kind: UInt16 = 1,
            answers: Int,
            authorities: Int = 0
        ) {
            bytes = []
            for number in [identifier, flags, 1, UInt16(answers), UInt16(authorities), 0] {
                wide(number)
            }
            name(question)
            wide(kind)
            wide(1)
        }

        mutating func wide(_ number: UInt16) { bytes += [UInt8(number >> 8), UInt8(number & 255)] }

        mutating func name(_ text: String) {
            for label in text.split(separator: ".") {
                bytes.append(UInt8(label.utf8.count))
                bytes += label.utf8
            }
            bytes.append(0)
        }

        mutating func record(_ owner: String, _ type: UInt16, _ seconds: UInt16, _ data: [UInt8]) {
            name(owner)
            rest(type, seconds, data)
        }

        mutating func rest(_ type: UInt16, _ seconds: UInt16, _ data: [UInt8]) {
            wide(type)
            wide(1)
            wide(0)
            wide(seconds)
            wide(UInt16(data.count))
            bytes += data
        }
    }

    private static func wire(_ text: String) -> [UInt8] {
        var message = Message(answers: 0)
        message.bytes = []
        message.name(text)
        return message.bytes
    }

    private func ask(_ message: Message, _ kind: DNSQuestion.Kind = .ipv4) throws
        -> DNSQuestion.Answer
    {
        let question = try #require(DNSQuestion("A.example.", kind, identifier: 7))
        return question.answer(in: message.bytes)
    }

    private static let ip = IPAddress(v4: 0x0a00_0001)

    @Test func aQuestionIsWrittenWithItsNameAndKind() throws {
        let question = try #require(DNSQuestion("a.example", .ipv6, identifier: 0x1234))
        let head: [UInt8] = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1]
        #expect(question.bytes.starts(with: head + Self.wire("a.example") + [0, 28, 0, 1]))
    }

    @Test(arguments: ["", "*.example", "a..b", "-a.b", "10.0.0.1", "a b"])
    func whatIsNoHostNameIsNotAskedFor(name: String) {
        #expect(DNSQuestion(name, .ipv4, identifier: 1) == nil)
    }

    @Test func addressesComeWithTheLeastOfTheirTimes() throws {
        var message = Message(answers: 2)
        message.record("a.example", 1, 60, [10, 0, 0, 1])
        message.record("a.example", 1, 30, [10, 0, 0, 2])
        let second = IPAddress(v4: 0x0a00_0002)
        #expect(try ask(message) == .addresses([Self.ip, second], seconds: 30))
    }

    @Test func anIPv6AddressIsRead() throws {
        var message = Message(kind: 28, answers: 1)
        message.record(
            "a.example",
            28,
            60,
            [0x20, 1, 0xd, 0xb8] + Array(repeating: 0, count: 11) + [1]
        )
        let ip = try #require(IPAddress("2001:db8::1"))
        #expect(try ask(message, .ipv6) == .addresses([ip], seconds: 60))
    }

    @Test func aliasesAreFollowedAndOtherNamesPassedOver() throws {
        var message = Message(answers: 3)
        message.record("a.example", 5, 20, Self.wire("b.example"))
        message.record("evil.example", 1, 60, [10, 6, 6, 6])
        message.record("B.example", 1, 60, [10, 0, 0, 1])
        #expect(try ask(message) == .addresses([Self.ip], seconds: 20))
    }

    @Test func lettersAreSentInUpperCaseAtRandomAndMustComeBackSo() throws {
        let question = try #require(DNSQuestion("a.example", .ipv4, identifier: 7, mixing: 0x22))
        // Bits count bytes: the second is the first label's letter.
        #expect(question.bytes[12...].starts(with: Self.wire("A.exAmple")))
        var right = Message(question: "A.exAmple", answers: 1)
        right.record("a.example", 1, 60, [10, 0, 0, 1])
        #expect(question.answer(in: right.bytes) == .addresses([Self.ip], seconds: 60))
        for name in ["a.example", "A.EXAMPLE", "A.exaMple"] {
            var message = Message(question: name, answers: 1)
            message.record("a.example", 1, 60, [10, 0, 0, 1])
            #expect(question.answer(in: message.bytes) == .altered)
            #expect(
                question.answer(in: message.bytes, ignoringCase: true)
                    == .addresses([Self.ip], seconds: 60)
            )
        }
        #expect(question.answer(in: Message(question: "A.exBmple", answers: 0).bytes) == .foreign)
    }

    @Test func anAliasOfWhichNothingIsSaidIsToBeAskedFor() throws {
        var message = Message(answers: 1)
        message.record("a.example", 5, 20, Self.wire("b.example"))
        #expect(try ask(message) == .alias(Self.wire("b.example"), seconds: 20))
        let zone =
            Self.wire("ns") + Self.wire("root") + Array(repeating: 0, count: 16) + [0, 0, 0, 40]
        var ended = Message(answers: 1, authorities: 1)
        ended.record("a.example", 5, 20, Self.wire("b.example"))
        ended.record("example", 6, 90, zone)
        #expect(try ask(ended) == .addresses([], seconds: 20))
        var absent = Message(flags: 0x8183, answers: 1)
        absent.record("a.example", 5, 20, Self.wire("b.example"))
        #expect(try ask(absent) == .addresses([], seconds: 20))
    }

    @Test func aServerOfOldIsAskedWithoutOptions() throws {
        var question = try #require(DNSQuestion("a.example", .ipv4, identifier: 7))
        let whole = question.bytes
        question.hasOptions = false
        #expect(whole.count == question.bytes.count + 11)
        #expect(question.bytes[11] == 0 && whole[11] == 1)
    }

    @Test func aCircleOfAliasesIsAFailure() throws {
        var message = Message(answers: 2)
        message.record("a.example", 5, 20, Self.wire("b.example"))
        message.record("b.example", 5, 20, Self.wire("a.example"))
        #expect(try ask(message) == .failure(code: 2))
    }

    @Test func aNameThatIsNotThereIsSoForTheTimeOfItsZone() throws {
        var message = Message(flags: 0x8183, answers: 0, authorities: 1)
        let zone =
            Self.wire("ns") + Self.wire("root") + Array(repeating: 0, count: 16) + [0, 0, 0, 40]
        message.record("example", 6, 90, zone)
        #expect(try ask(message) == .addresses([], seconds: 40))
    }

    @Test func aTruncatedAnswerIsAskedForOverTCP() throws {
        #expect(try ask(Message(flags: 0x8380, answers: 0)) == .truncated)
    }

    @Test(arguments: [1, 2, 5] as [UInt8])
    func aServersRefusalIsAFailure(code: UInt8) throws {
        let message = Message(flags: 0x8180 | UInt16(code), answers: 0)
        #expect(try ask(message) == .failure(code: code))
    }

    @Test func anAnswerToAnotherQuestionIsForeign() throws {
        for message in [
            Message(identifier: 8, answers: 0), Message(flags: 0x0100, answers: 0),
            Message(question: "b.example", answers: 0), Message(kind: 28, answers: 0),
            Message(flags: 0x8980, answers: 0), Message(answers: DNSQuestion.recordMax + 1),
        ] {
            #expect(try ask(message) == .foreign)
        }
    }

    @Test func pointersThatLeadForwardOrInACircleAreForeign() throws {
        // The owner begins at byte 27, behind head and question.
        for target: UInt8 in [27, 29, 200] {
            var message = Message(answers: 1)
            #expect(message.bytes.count == 27)
            message.bytes += [0xc0, target]
            message.rest(1, 60, [10, 0, 0, 1])
            #expect(try ask(message) == .foreign)
        }
        var message = Message(answers: 1)
        message.bytes += [0xc0, 12]
        message.rest(1, 60, [10, 0, 0, 1])
        #expect(try ask(message) == .addresses([Self.ip], seconds: 60))
    }

    @Test func everyCutOfAnAnswerIsForeign() throws {
        var message = Message(answers: 1)
        message.record("a.example", 1, 60, [10, 0, 0, 1])
        for count in 0..<message.bytes.count {
            var cut = message
            cut.bytes = Array(message.bytes.prefix(count))
            #expect(try ask(cut) == .foreign, "\(count)")
        }
    }

    @Test func bytesAtRandomAreNoAddresses() throws {
        var random = SystemRandomNumberGenerator()
        var whole = Message(answers: 2)
        whole.record("a.example", 5, 20, Self.wire("b.example"))
        whole.record("b.example", 1, 60, [10, 0, 0, 1])
        for _ in 0..<20_000 {
            var message = whole
            for _ in 0..<3 {
                let index = Int.random(in: 0..<message.bytes.count, using: &random)
                message.bytes[index] = .random(in: 0...255, using: &random)
            }
            if case .addresses(let found, _) = try ask(message) { #expect(found.count <= 2) }
        }
    }
}
