//! What can be made of a sound message.

/// Cut off after each number of bytes, and still a message: its length says where it ends.
pub(super) fn truncated(message: &[u8]) -> Vec<Vec<u8>> {
    (4..message.len())
        .map(|len| {
            let mut cut = message[..len].to_vec();
            cut[2..4].copy_from_slice(&u16::try_from(len).expect("a message").to_be_bytes());
            cut.resize(len.next_multiple_of(4), 0);
            cut
        })
        .collect()
}

/// Each 16 and each 32 bits behind the header at their extremes. The message's own length stays, so that all of it is
/// read as one message.
pub(super) fn extremes(message: &[u8]) -> Vec<Vec<u8>> {
    let at = |place: usize, value: &[u8]| {
        let mut changed = message.to_vec();
        changed[place..place + value.len()].copy_from_slice(value);
        changed
    };
    let mut all = Vec::new();
    for place in (4..message.len()).step_by(2) {
        all.extend([0, 1, 0x7fff, 0x8000, 0xffff].map(|value: u16| at(place, &value.to_be_bytes())));
        if place % 4 == 0 && place + 4 <= message.len() {
            let values: [u32; 4] = [1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff];
            all.extend(values.map(|value| at(place, &value.to_be_bytes())));
        }
    }
    all
}

/// Each flag flipped.
pub(super) fn flags(message: &[u8]) -> Vec<Vec<u8>> {
    (0..8)
        .map(|bit| {
            let mut changed = message.to_vec();
            changed[1] ^= 1 << bit;
            changed
        })
        .collect()
}
