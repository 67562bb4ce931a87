import Addressing
import Testing

@testable import Discovery

/// How long what is known of a name is believed.
@Suite struct NameRecordTests {
    private static let ip = IPAddress(v4: 0x0a00_0001)

    private func seconds(_ record: NameRecord, since now: UInt64) -> UInt64 {
        (record.dueNanoseconds - now) / 1_000_000_000
    }

    @Test(
        arguments: [(0, 5), (4, 5), (60, 60), (3_600, 3_600), (4_000_000_000, 3_600)]
            as [(UInt32, UInt64)]
    )
    func addressesHoldForTheirTimeWithinBounds(told: UInt32, held: UInt64) {
        var record = NameRecord()
        record.take(.init(addresses: [Self.ip], seconds: told), now: 1_000)
        #expect(record.addresses == [Self.ip])
        #expect(seconds(record, since: 1_000) == held)
    }

    @Test(arguments: [(0, 5), (40, 40), (86_400, 300)] as [(UInt32, UInt64)])
    func absenceHoldsForItsTimeWithinNarrowerBounds(told: UInt32, held: UInt64) {
        var record = NameRecord()
        record.take(.init(addresses: [Self.ip], seconds: 60), now: 0)
        record.take(.init(addresses: [], seconds: told), now: 1_000)
        #expect(record.addresses.isEmpty)
        #expect(seconds(record, since: 1_000) == held)
    }

    @Test func whatIsKnownStandsWhileNoServerAnswersAndTheWaitsGrow() {
        var record = NameRecord()
        record.take(.init(addresses: [Self.ip], seconds: 60), now: 0)
        for wait in [5, 10, 20, 40, 60, 60, 60, 60, 60, 60, 60] as [UInt64] {
            record.take(nil, now: 7)
            #expect(record.addresses == [Self.ip])
            #expect(seconds(record, since: 7) == wait)
        }
        record.take(.init(addresses: [Self.ip], seconds: 60), now: 0)
        record.take(nil, now: 7)
        #expect(seconds(record, since: 7) == 5)
    }

    @Test func noMoreAddressesAreUsedThanTheBound() {
        var record = NameRecord()
        let many = (1...UInt32(NameRecord.addressMax + 5)).map { IPAddress(v4: 0x0a00_0000 + $0) }
        record.take(.init(addresses: many, seconds: 60), now: 0)
        #expect(record.addresses == Array(many.prefix(NameRecord.addressMax)))
    }
}
