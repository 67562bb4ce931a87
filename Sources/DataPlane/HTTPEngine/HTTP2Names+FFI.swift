import CNghttp2

/// A response's fields in nghttp2's form, names lowered into memory of their own.
@safe struct HTTP2Names {
    private var text: [UInt8] = []
    private var places: [(name: Int, nameLength: Int, valueLength: Int)] = []

    init(byteCount: Int) {
        text.reserveCapacity(byteCount + 16)
        places.reserveCapacity(32)
    }

    init(status: UInt16, byteCount: Int) {
        self.init(byteCount: byteCount)
        add(name: Array(":status".utf8), value: Array(String(status).utf8))
    }

    private mutating func add(name: [UInt8], value: [UInt8]) {
        places.append((text.count, name.count, value.count))
        text += name
        text += value
    }

    mutating func copy(_ base: UnsafeRawPointer, _ fields: Span<HeaderField>) {
        for index in fields.indices {
            let field = fields[index]
            places.append((text.count, Int(field.nameLength), Int(field.valueLength)))
            for offset in field.nameRange {
                let byte = unsafe base.load(fromByteOffset: offset, as: UInt8.self)
                text.append(ByteScan.lower(byte))
            }
            for offset in field.valueRange {
                text.append(unsafe base.load(fromByteOffset: offset, as: UInt8.self))
            }
        }
    }

    func withFields(_ body: (UnsafePointer<nghttp2_nv>, Int) -> Void) {
        var bytes = text
        unsafe bytes.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { return }
            let list = unsafe places.map { place in
                unsafe nghttp2_nv(
                    name: base + place.name,
                    value: base + place.name + place.nameLength,
                    namelen: place.nameLength,
                    valuelen: place.valueLength,
                    flags: UInt8(NGHTTP2_NV_FLAG_NONE.rawValue)
                )
            }
            unsafe list.withUnsafeBufferPointer { buffer in
                guard let base = buffer.baseAddress else { return }
                unsafe body(base, buffer.count)
            }
        }
    }
}
