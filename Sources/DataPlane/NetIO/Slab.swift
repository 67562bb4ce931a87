/// Names one element of a slab. Stale once the slot is freed; a slot's generation is odd while it
/// is live, so the zero handle is never live.
package struct Handle<Element>: Equatable, BitwiseCopyable, Sendable {
    /// The slot.
    package let index: Int32
    /// The slot's generation when the handle was made.
    package let generation: UInt32

    /// Makes a handle of its parts.
    package init(index: Int32, generation: UInt32) {
        self.index = index
        self.generation = generation
    }

    /// The handle that is never live.
    package static var none: Handle { Handle(index: 0, generation: 0) }

    /// Whether this is not `none`.
    package var isSome: Bool { generation != 0 }
}

/// Plain structs in one allocation, reused last-in first-out, each slot with a generation.
///
/// The memory is reserved whole and touched as used, so that elements never move. One thread owns
/// a slab.
@safe package final class Slab<Element: BitwiseCopyable> {
    /// How many elements may live at once.
    package let capacity: Int
    /// How many live now.
    package private(set) var count = 0
    /// Look-ups by a handle whose slot had been freed.
    package private(set) var staleCount: UInt64 = 0

    private let elements: UnsafeMutablePointer<Element>
    private let generations: UnsafeMutablePointer<UInt32>
    private let free: UnsafeMutablePointer<Int32>
    private var freeCount = 0
    private var touchedCount = 0

    /// Reserves room for `capacity` elements.
    package init(capacity: Int) {
        precondition(capacity > 0 && capacity <= Int(Int32.max))
        self.capacity = capacity
        unsafe elements = .allocate(capacity: capacity)
        unsafe generations = .allocate(capacity: capacity)
        unsafe generations.initialize(repeating: 2, count: capacity)
        unsafe free = .allocate(capacity: capacity)
    }

    deinit {
        unsafe elements.deallocate()
        unsafe generations.deallocate()
        unsafe free.deallocate()
    }

    /// Takes a slot for `element`.
    ///
    /// - Returns: `nil` when the slab is full.
    @inline(__always)
    package func insert(_ element: Element) -> Handle<Element>? {
        let index: Int
        if freeCount > 0 {
            freeCount -= 1
            index = Int(unsafe free[freeCount])
        } else {
            guard touchedCount < capacity else { return nil }
            index = touchedCount
            touchedCount += 1
        }
        unsafe generations[index] &+= 1
        unsafe (elements + index).initialize(to: element)
        count += 1
        return Handle(index: Int32(index), generation: unsafe generations[index])
    }

    /// Frees a slot. A stale handle is counted and otherwise ignored.
    package func remove(_ handle: Handle<Element>) {
        guard contains(handle) else { return }
        let freed = handle.generation &+ 1
        unsafe generations[Int(handle.index)] = freed == 0 ? 2 : freed
        unsafe free[freeCount] = handle.index
        freeCount += 1
        count -= 1
    }

    /// Whether the handle's slot is still its own; a stale one is counted.
    @inline(__always)
    package func contains(_ handle: Handle<Element>) -> Bool {
        if isLive(handle) { return true }
        if handle.isSome { countStale() }
        return false
    }

    /// A slot is free while its generation is even, and every handle given out has an odd one.
    /// `none` has 0, which no slot ever has.
    @inline(__always)
    private func isLive(_ handle: Handle<Element>) -> Bool {
        let slot = Int(UInt32(bitPattern: handle.index))
        return unsafe slot < capacity && generations[slot] == handle.generation
    }

    @inline(never)
    private func countStale() { staleCount &+= 1 }

    /// The element of a live handle, in place. A stale handle is a broken invariant and traps:
    /// callers that may hold one ask `contains` first.
    package subscript(handle: Handle<Element>) -> Element {
        @inline(__always)
        unsafeAddress {
            precondition(isLive(handle))
            return unsafe UnsafePointer(elements + Int(handle.index))
        }
        @inline(__always)
        unsafeMutableAddress {
            precondition(isLive(handle))
            return unsafe elements + Int(handle.index)
        }
    }

    /// The place of a live handle's element, looked up once for many uses. A stale handle traps.
    @inline(__always)
    package func place(_ handle: Handle<Element>) -> Place<Element> {
        precondition(isLive(handle))
        return unsafe Place(
            elements + Int(handle.index),
            generations + Int(handle.index),
            handle.generation
        )
    }

    /// The place of a handle's element; `nil`, and counted, when the handle is stale.
    @inline(__always)
    package func find(_ handle: Handle<Element>) -> Place<Element>? {
        contains(handle) ? place(handle) : nil
    }

    /// The handle of a live slot, or `nil`.
    package func handle(at index: Int32) -> Handle<Element>? {
        guard index >= 0, Int(index) < touchedCount, unsafe generations[Int(index)] & 1 == 1 else {
            return nil
        }
        return Handle(index: index, generation: unsafe generations[Int(index)])
    }

    /// One past the highest slot ever used: the bound for a walk with `handle(at:)`.
    package var endIndex: Int32 { Int32(touchedCount) }
}

/// Where a live element of a slab stands. It is good until the element is removed: for code that
/// goes straight through, and asks again once anything may have been removed meanwhile. Elements
/// never move and their memory lasts as long as the slab; in debug builds every use is checked as
/// one by handle is.
@safe package struct Place<Element: BitwiseCopyable>: BitwiseCopyable {
    private let element: UnsafeMutablePointer<Element>
    #if DEBUG
        private let generation: UnsafePointer<UInt32>
        private let expected: UInt32
    #endif

    @inline(__always)
    fileprivate init(
        _ element: UnsafeMutablePointer<Element>,
        _ generation: UnsafePointer<UInt32>,
        _ expected: UInt32
    ) {
        unsafe self.element = unsafe element
        #if DEBUG
            unsafe self.generation = unsafe generation
            self.expected = expected
        #endif
    }

    @inline(__always)
    private func check() {
        #if DEBUG
            precondition(unsafe generation.pointee == expected)
        #endif
    }

    /// The element, in place.
    package var value: Element {
        @inline(__always)
        unsafeAddress {
            check()
            return unsafe UnsafePointer(element)
        }
        @inline(__always)
        nonmutating unsafeMutableAddress {
            check()
            return unsafe element
        }
    }
}
