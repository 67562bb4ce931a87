/// A second as date and time of day in UTC.
struct CivilTime: BitwiseCopyable {
    private static let monthNames: [StaticString] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ]

    let year: UInt64
    /// 1...12.
    let month: UInt64
    /// 1...31.
    let day: UInt64
    let hour: UInt64
    let minute: UInt64
    let second: UInt64

    /// Civil date from days since 1970 (H. Hinnant's algorithm).
    ///
    /// - Parameter seconds: since 1970.
    init(seconds: UInt64) {
        let days = Int(seconds / 86_400) + 719_468
        let era = days / 146_097
        let dayOfEra = days - era * 146_097
        let yearOfEra =
            (dayOfEra - dayOfEra / 1_460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        day = UInt64(dayOfYear - (153 * shifted + 2) / 5 + 1)
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        self.month = UInt64(month)
        year = UInt64(yearOfEra + era * 400 + (month <= 2 ? 1 : 0))
        hour = seconds / 3_600 % 24
        minute = seconds / 60 % 60
        second = seconds % 60
    }

    /// The month's name, three letters.
    var monthName: StaticString { CivilTime.monthNames[Int(month) - 1] }

    /// Writes the date with dashes.
    func writeDate(to text: ScratchBuffer) {
        text.append(padded: year, digits: 4)
        text.append("-")
        text.append(padded: month, digits: 2)
        text.append("-")
        text.append(padded: day, digits: 2)
    }

    /// Writes the time of day with colons.
    func writeTime(to text: ScratchBuffer) {
        text.append(padded: hour, digits: 2)
        text.append(":")
        text.append(padded: minute, digits: 2)
        text.append(":")
        text.append(padded: second, digits: 2)
    }
}

extension ScratchBuffer {
    /// Writes a number with leading zeros.
    func append(padded value: UInt64, digits: Int) {
        var threshold: UInt64 = 10
        for _ in 1..<max(digits, 1) {
            if value < threshold { append(byte: UInt8(ascii: "0")) }
            threshold &*= 10
        }
        append(decimal: value)
    }
}
